"""The time of calls by either clock, inputs to time a model with, and peak memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from replank.runtime.clock import Clock
from replank.runtime.model import Model
from replank.system.errors import FieldError
from replank.text.padding import Batch
from replank.text.tokens import Tokens


def time_calls(
    run: Callable[[], object],
    *,
    warmup: int,
    min_iterations: int,
    min_seconds: float,
    multiple: int = 1,
    clock: Clock = "wall",
) -> list[float]:
    """Time calls one after another.

    :param warmup: untimed calls before the first timed one.
    :param min_iterations: the least number of timed calls.
    :param min_seconds: the least total time of the timed calls.
    :param multiple: the number of timed calls is a multiple of this.
    :param clock: what the milliseconds and ``min_seconds`` are of.
    :returns: milliseconds of each timed call.
    """
    read = time.perf_counter_ns if clock == "wall" else time.process_time_ns
    for _ in range(warmup):
        run()
    samples: list[float] = []
    total = 0
    while len(samples) < min_iterations or total < 1e9 * min_seconds or len(samples) % multiple:
        start = read()
        run()
        elapsed = read() - start
        total += elapsed
        samples.append(elapsed / 1e6)
    return samples


def peak_memory() -> int:
    """The peak resident memory of this process in bytes; 0 if the kernel does not report it.

    Not ``getrusage``: its maximum is inherited from the parent process.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def random_batch(model: Model, batch_size: int, length: int, seed: int) -> Batch:
    """Random token ids without padding; their meaning has no influence on the speed.

    :raises FieldError: the length exceeds the model's positions.
    """
    source = model.source
    limit = source.position_limit
    if length > limit:
        raise FieldError("length", length, f"at most {limit} tokens for {source.name}")
    generator = np.random.default_rng(seed)
    ids = generator.integers(0, int(source.config["vocab_size"]), size=(batch_size, length))
    return model.text_encoder.pad([Tokens(row, [0] * length) for row in ids.tolist()])


def text_batches(model: Model, texts: Sequence[Sequence[str]], batch_size: int) -> list[Batch]:
    """Batches of real texts in their order, padded to the longest of each batch; an incomplete last batch is left out.

    :param texts: each a text or a pair; at least ``batch_size`` of them. They are truncated as the model does.
    """
    tokens = model.text_encoder.tokenize(
        [text[0] for text in texts], [text[1] for text in texts] if len(texts[0]) > 1 else None
    )
    starts = range(0, len(tokens) - batch_size + 1, batch_size)
    return [model.text_encoder.pad(tokens[start : start + batch_size]) for start in starts]
