"""The process of one model in a benchmark: loads it, measures what it is told to, answers in JSON lines.

Started by :mod:`replank.benchmark.run`, one for each model, so that no model's memory, threads or allocator touches
another's numbers.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from typing import Any, TextIO

from replank.models.encoders import position_limit
from replank.models.source import Source, open_source
from replank.runtime.model import Model, load_model
from replank.runtime.timing import peak_memory, random_batch, text_batches, time_calls
from replank.runtime.torch_modes import DEFAULT_MODE, TorchMode, in_mode, precision_of
from replank.system.energy import EnergyMeter
from replank.system.environment import available_cores
from replank.system.errors import ReplankError

# Of real texts: enough for a mix of lengths, few enough that each turn sees all.
_TEXT_BATCHES = 16


def main() -> None:
    """Answer commands from stdin until it ends."""
    # Ctrl-C reaches the whole group; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _take_stdout()
    settings = json.loads(sys.stdin.readline())
    try:
        _pin(settings["threads"])
        started = time.perf_counter()
        source = open_source(settings["model"])
        loaded = load_model(source, device=settings["device"], threads=settings["threads"])
        model = in_mode(loaded, settings["mode"])
        facts = _facts(model, settings["mode"], time.perf_counter() - started)
        _answer(answers, facts | {"threads": settings["threads"] or available_cores()})
        for line in sys.stdin:
            command = json.loads(line)
            samples, joules = _measure_cell(model, settings["texts"], command)
            _answer(answers, {"samples": samples, "joules": joules, "peak_memory_bytes": peak_memory()})
    except ReplankError as error:
        _answer(answers, {"error": type(error).__name__, "message": error.message, "hint": error.hint})
    except BrokenPipeError:
        sys.exit(1)  # the parent is gone, and nobody is left to tell


def _pin(threads: int | None) -> None:
    """As many cores as threads: fewer threads than cores would wander between them."""
    if threads and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _measure_cell(model: Model, texts: list[list[str]], command: dict[str, Any]) -> tuple[list[float], float | None]:
    """All batches of the texts equally often, so that each turn's samples are of the same work."""
    size, length = command["batch_size"], command["length"]
    if length is None:
        batches = text_batches(model, texts[: _TEXT_BATCHES * size], size)
    else:
        batches = [random_batch(model, size, length, command["seed"])]
    endless = itertools.cycle(batches)
    for _ in range(max(command["warmup"], len(batches) * command["first"])):
        model.predictor(next(endless))
    meter, endless = EnergyMeter(), itertools.cycle(batches)
    samples = time_calls(
        lambda: model.predictor(next(endless)),
        warmup=0,
        min_iterations=command["min_iterations"],
        min_seconds=command["min_seconds"],
        multiple=len(batches),
    )
    return samples, meter.joules()


def _facts(model: Model, mode: TorchMode, load_seconds: float) -> dict[str, Any]:
    source = model.source
    manifest = source.artifact.manifest if source.artifact else None
    return {
        "kind": source.kind,
        "precision": source.precision if mode == DEFAULT_MODE else precision_of(mode),
        "mode": mode if source.kind == "torch" else None,
        "layers": source.layers,
        "device": model.device,
        "provider": model.provider,
        "arithmetic": model.arithmetic,
        "model_bytes": _model_bytes(source),
        "task": manifest.task.name if manifest else None,
        "digest": manifest.digest if manifest else None,
        "quality": manifest.quality if manifest else None,
        "load_seconds": load_seconds,
        "length_limit": position_limit(source.config, source.name),
    }


def _model_bytes(source: Source) -> int:
    """The weights, or the graph with its external data; the tokenizer is no part of a model's size."""
    patterns = ("*.safetensors",) if source.kind == "torch" else ("model.onnx", "*.onnx_data", "*.onnx.data")
    return sum(path.stat().st_size for pattern in patterns for path in source.folder.glob(pattern))


def _take_stdout() -> TextIO:
    """Stdout for the answers alone: what a library prints goes to stderr from now on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, values: dict[str, Any]) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()
