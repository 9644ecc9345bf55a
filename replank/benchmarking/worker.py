"""The process of one model in a benchmark: loads it, measures on request, answers in JSON lines.

One for each variant, so that no model's memory, threads or allocator influences another's numbers.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import sys
import time
from functools import partial
from typing import TextIO

from replank.benchmarking.messages import Failure, Load, Samples, Turn
from replank.benchmarking.result import ModelFacts
from replank.benchmarking.waits import CoreWaits
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.timing import peak_memory, random_batch, text_batches, time_calls
from replank.runtime.torch_modes import DEFAULT_MODE, in_mode, precision_of
from replank.system.energy import EnergyMeter
from replank.system.environment import available_cores
from replank.system.errors import ReplankError, UsageError
from replank.system.logs import WHERE, LogMessage, send_log_messages
from replank.system.typed_json import dataclass_from_json, json_values

_log = logging.getLogger(__name__)
# Enough for a mix of lengths, few enough that each turn measures all.
_TEXT_BATCHES = 16


def main() -> None:
    """Answer requests from stdin until it ends."""
    # Ctrl-C reaches the whole process group; the parent decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _take_stdout()
    load = dataclass_from_json(Load, json.loads(sys.stdin.readline()))
    send_log_messages(partial(_answer, answers), load.log_level)
    try:
        _pin(load.threads)
        started = time.perf_counter()
        source = open_source(load.model)
        model = in_mode(load_model(source, device=load.device, threads=load.threads), load.mode)
        _answer(answers, _facts(model, load, time.perf_counter() - started))
        for line in sys.stdin:
            _answer(answers, _measure(model, load, dataclass_from_json(Turn, json.loads(line))))
    except ReplankError as error:
        _log.debug(WHERE, exc_info=error)
        # A FieldError takes other arguments; its message is all that the parent needs.
        kind = UsageError if isinstance(error, UsageError) else type(error)
        _answer(answers, Failure(kind.__name__, error.message, error.hint))
    except BrokenPipeError:
        sys.exit(1)  # the parent is gone


def _pin(threads: int | None) -> None:
    """Pin this process to as many cores as threads, which would otherwise migrate between more cores."""
    if threads and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _measure(model: Model, load: Load, turn: Turn) -> Samples:
    """One turn: all batches of the texts equally often, so that each turn measures the same batches."""
    if turn.length is None:
        batches = text_batches(model, load.texts[: _TEXT_BATCHES * turn.batch_size], turn.batch_size)
    else:
        batches = [random_batch(model, turn.batch_size, turn.length, turn.seed)]
    endless = itertools.cycle(batches)
    for _ in range(max(turn.warmup, len(batches) * turn.is_first)):
        model.predictor(next(endless))
    energy, waits, endless = EnergyMeter(), CoreWaits(), itertools.cycle(batches)
    samples = time_calls(
        lambda: model.predictor(next(endless)),
        warmup=0,
        min_iterations=turn.min_iterations,
        min_seconds=turn.min_seconds,
        multiple=len(batches),
        clock=load.clock,
    )
    # The energy of a busy machine is mostly that of others.
    joules = energy.joules() if load.clock == "wall" else None
    return Samples(tuple(samples), joules, waits.share(), peak_memory())


def _facts(model: Model, load: Load, load_seconds: float) -> ModelFacts:
    source = model.source
    manifest = source.artifact.manifest if source.artifact else None
    return ModelFacts(
        kind=source.kind,
        precision=source.precision if load.mode == DEFAULT_MODE else precision_of(load.mode),
        mode=load.mode if source.kind == "torch" else None,
        layers=source.layers,
        device=model.device,
        provider=model.provider,
        arithmetic=model.arithmetic,
        model_bytes=source.weights.bytes,
        task=manifest.task.name if manifest else None,
        digest=manifest.digest if manifest else None,
        quality=manifest.quality if manifest else None,
        load_seconds=load_seconds,
        length_limit=source.position_limit,
        threads=load.threads or available_cores(),
    )


def _take_stdout() -> TextIO:
    """Reserve stdout for the answers: what a library prints goes to stderr from now on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, message: ModelFacts | Samples | Failure | LogMessage) -> None:
    answers.write(json.dumps(json_values(message)) + "\n")
    answers.flush()
