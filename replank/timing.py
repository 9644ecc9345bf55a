"""How long a model takes: calls timed one after another, on tokens whose meaning does not matter."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from replank.encoders import position_limit
from replank.errors import UsageError
from replank.text import Batch, Tokens

if TYPE_CHECKING:
    from replank.runtime import Model


def measure(run: Callable[[], object], *, warmup: int, min_iterations: int, min_seconds: float) -> list[float]:
    """Time calls one after another.

    :param warmup: calls before the first that is timed.
    :param min_iterations: calls are timed until there are so many, and
    :param min_seconds: until they took so long together.
    :returns: milliseconds of each call.
    """
    for _ in range(warmup):
        run()
    samples: list[float] = []
    total = 0
    while len(samples) < min_iterations or total < 1e9 * min_seconds:
        start = time.perf_counter_ns()
        run()
        elapsed = time.perf_counter_ns() - start
        total += elapsed
        samples.append(elapsed / 1e6)
    return samples


def random_batch(model: Model, batch_size: int, length: int, seed: int) -> Batch:
    """Random token ids without padding: what they mean is of no weight for the speed.

    :raises UsageError: longer than the model's positions reach.
    """
    source = model.source
    limit = position_limit(source.config, source.name)
    if length > limit:
        raise UsageError(f"--length {length}: {source.name} takes at most {limit} tokens")
    generator = np.random.default_rng(seed)
    ids = generator.integers(0, int(source.config["vocab_size"]), size=(batch_size, length))
    return model.text_encoder.pad([Tokens(row, [0] * length) for row in ids.tolist()])
