"""The process of one model in a benchmark: loads it, measures what it is told to, answers in JSON lines.

Started by :mod:`serve.benchmark`, one for each model, so that no model's memory, threads or allocator touches
another's numbers.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from replank.encoders import position_limit
from replank.environment import available_cores
from replank.errors import ReplankError
from replank.runtime import Model, load_model
from replank.source import Source, open_source
from replank.timing import measure, random_batch


def main() -> None:
    """Answer commands from stdin until it ends."""
    # Ctrl-C reaches the whole group; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _take_stdout()
    settings = json.loads(sys.stdin.readline())
    try:
        started = time.perf_counter()
        source = open_source(settings["model"])
        model = load_model(source, device=settings["device"], threads=settings["threads"])
        facts = _facts(model, time.perf_counter() - started)
        _answer(answers, facts | {"threads": settings["threads"] or available_cores()})
        for line in sys.stdin:
            command = json.loads(line)
            samples = _measure_cell(model, command)
            _answer(answers, {"samples": samples, "peak_memory_bytes": _peak_memory()})
    except ReplankError as error:
        _answer(answers, {"error": type(error).__name__, "message": error.message, "hint": error.hint})
    except BrokenPipeError:
        sys.exit(1)  # the parent is gone, and nobody is left to tell


def _measure_cell(model: Model, command: dict[str, Any]) -> list[float]:
    batch = random_batch(model, command["batch_size"], command["length"], command["seed"])
    return measure(
        lambda: model.predictor(batch),
        warmup=command["warmup"],
        min_iterations=command["min_iterations"],
        min_seconds=command["min_seconds"],
    )


def _facts(model: Model, load_seconds: float) -> dict[str, Any]:
    source = model.source
    manifest = source.artifact.manifest if source.artifact else None
    return {
        "kind": source.kind,
        "precision": source.precision,
        "layers": source.layers,
        "device": model.device,
        "provider": model.provider,
        "arithmetic": model.arithmetic,
        "model_bytes": _model_bytes(source),
        "digest": manifest.digest if manifest else None,
        "quality": manifest.quality if manifest else None,
        "load_seconds": load_seconds,
        "length_limit": position_limit(source.config, source.name),
    }


def _model_bytes(source: Source) -> int:
    """The weights, or the graph with its external data; the tokenizer is no part of a model's size."""
    patterns = ("*.safetensors",) if source.kind == "torch" else ("model.onnx", "*.onnx_data", "*.onnx.data")
    return sum(path.stat().st_size for pattern in patterns for path in source.folder.glob(pattern))


def _peak_memory() -> int:
    """The most physical memory that this process ever held.

    Not ``getrusage``: its maximum is inherited from the process that started this one.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _take_stdout() -> TextIO:
    """Stdout for the answers alone: what a library prints goes to stderr from now on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, values: dict[str, Any]) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()
