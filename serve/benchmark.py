"""How fast models are, side by side: a fresh process for each, measured in turn, with every sample kept."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from replank.environment import machine, versions
from replank.errors import UsageError
from replank.provenance import config_json
from replank.runtime import Device
from serve.benchmark_process import WorkerProcess

RESULT_SCHEMA = 1
# Threads of ONNX Runtime and OpenMP go on spinning for some milliseconds after a run; the next would pay.
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class BenchmarkConfig:
    """What is measured.

    A cell is one batch size with one length. In each round each model measures each cell, one model right
    after the other, so that a machine that slows down slows all of them.

    :param models: folders, or names on the hub; the first is the baseline of the others.
    :param batch_sizes: texts that run together.
    :param lengths: tokens of each text, special tokens included; there is no padding.
    :param rounds: turns that each model has at each cell.
    :param min_seconds: least time measured for each model and cell, over all rounds.
    :param min_iterations: least samples of each model and cell in each round.
    :param warmup: runs before the samples of each turn.
    :param threads: threads of one operator; the cores that this process may use where ``None``.
    :param device: ``cpu`` or ``cuda``; a model that cannot run there is an error.
    :param seed: of the token ids.
    :raises UsageError: a value out of range.
    """

    models: tuple[str, ...]
    batch_sizes: tuple[int, ...] = (1, 8)
    lengths: tuple[int, ...] = (16, 128)
    rounds: int = 5
    min_seconds: float = 2.0
    min_iterations: int = 3
    warmup: int = 2
    threads: int | None = None
    device: Device = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("no model to measure; expected at least one")
        for name in ("batch_sizes", "lengths"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise UsageError(f"{name}: {', '.join(map(str, values)) or 'none'}; expected some, each once")
        least = {"rounds": 1, "min_iterations": 1, "warmup": 0}
        numbers = [(name, getattr(self, name), bound) for name, bound in least.items()]
        numbers += [("batch-size", value, 1) for value in self.batch_sizes]
        numbers += [("length", value, 1) for value in self.lengths]
        numbers += [("threads", self.threads, 1)] if self.threads is not None else []
        for name, value, bound in numbers:
            if value < bound:
                raise UsageError(f"--{name.replace('_', '-')} {value}: expected at least {bound}")
        if not (self.min_seconds >= 0 and math.isfinite(self.min_seconds)):
            raise UsageError(f"--min-seconds {self.min_seconds}: expected 0 or more")

    @property
    def cells(self) -> list[tuple[int, int]]:
        """All pairs of batch size and length."""
        return [(batch_size, length) for length in self.lengths for batch_size in self.batch_sizes]

    @property
    def units(self) -> int:
        """How often :func:`benchmark` calls its ``progress``."""
        return self.rounds * len(self.cells) * len(self.models)


class Progress(Protocol):
    """Called after each turn."""

    def __call__(self, amount: int = 1, note: str = "") -> None:
        """Say that a turn is over, and which."""
        ...


def benchmark(config: BenchmarkConfig, progress: Progress | None = None) -> dict[str, Any]:
    """Measure all models.

    :returns: JSON values: ``config``, ``machine``, ``versions``, ``load_average`` before and after;
        ``models`` with ``load_seconds``, ``peak_memory_bytes``, ``model_bytes``, the manifest's ``quality``
        and more facts; and ``cells``. A cell holds ``samples_ms``, a list for each round; ``p50_ms``,
        ``p90_ms``, ``p99_ms`` and ``mean_ms`` of them all; ``texts_per_second``, by the mean; and ``ratio``,
        how many times as fast as the first model: by the medians of each round, with their median and range.
        ``disturbed`` says that runs varied as they do on a machine that is busy with something else; the numbers are
        then not to be relied on.
    :raises UsageError: a length above a model's limit.
    :raises ReplankError: a model that cannot be loaded or run, or whose process died.
    """
    load_before = os.getloadavg()
    names = _short_names(config.models)
    samples: dict[tuple[int, int, int], list[list[float]]] = {}
    with ExitStack() as stack:
        workers = [stack.enter_context(WorkerProcess(model, config.device, config.threads)) for model in config.models]
        _check_lengths(config, names, workers)
        for round_number, cell, index in _turns(config):
            time.sleep(_PAUSE_SECONDS)
            samples.setdefault((index, *cell), []).append(workers[index].measure(_command(config, cell)))
            if progress:
                progress(
                    1,
                    f"{names[index]}, {cell[0]} x {cell[1]} tokens, round {round_number + 1}/{config.rounds}",
                )
        models = [
            {"name": name} | worker.facts | {"peak_memory_bytes": worker.peak_memory_bytes}
            for name, worker in zip(names, workers, strict=True)
        ]
    cells = [
        {"model": names[index], "batch_size": batch_size, "length": length}
        | _summary(rounds, samples[0, batch_size, length], batch_size)
        for (index, batch_size, length), rounds in sorted(samples.items())
    ]
    return {
        "schema": RESULT_SCHEMA,
        "config": config_json(config) | {"models": names},
        "machine": machine(),
        "versions": versions(),
        "load_average": {"before": list(load_before), "after": list(os.getloadavg())},
        "models": models,
        "cells": cells,
        "disturbed": is_disturbed(cells),
    }


def is_disturbed(cells: list[dict[str, Any]]) -> bool:
    """Whether a cell's runs varied as they do on a machine that is busy with something else.

    On a quiet machine one run in ten is not half as long again as the median.
    """
    return any(cell["p90_ms"] > 1.5 * cell["p50_ms"] for cell in cells)


def _turns(config: BenchmarkConfig) -> Iterator[tuple[int, tuple[int, int], int]]:
    """Round, cell and model of each turn. Who begins rotates, for who follows finds the cores warmer."""
    count = len(config.models)
    for round_number in range(config.rounds):
        for cell in config.cells:
            for offset in range(count):
                yield round_number, cell, (round_number + offset) % count


def _command(config: BenchmarkConfig, cell: tuple[int, int]) -> dict[str, Any]:
    return {
        "batch_size": cell[0],
        "length": cell[1],
        "seed": config.seed,
        "warmup": config.warmup,
        "min_iterations": config.min_iterations,
        "min_seconds": config.min_seconds / config.rounds,
    }


def _check_lengths(config: BenchmarkConfig, names: list[str], workers: list[WorkerProcess]) -> None:
    """Before anything is measured, not minutes later."""
    for name, worker in zip(names, workers, strict=True):
        limit = worker.facts["length_limit"]
        if max(config.lengths) > limit:
            raise UsageError(f"--length {max(config.lengths)}: {name} takes at most {limit} tokens")


def _summary(rounds: list[list[float]], baseline: list[list[float]], batch_size: int) -> dict[str, Any]:
    every = np.concatenate(rounds)
    p50, p90, p99 = (float(value) for value in np.percentile(every, (50, 90, 99)))
    ratios = [float(np.median(theirs) / np.median(ours)) for ours, theirs in zip(rounds, baseline, strict=True)]
    return {
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "mean_ms": float(every.mean()),
        "texts_per_second": 1e3 * batch_size / float(every.mean()),
        "ratio": {
            "median": float(np.median(ratios)),
            "min": min(ratios),
            "max": max(ratios),
            "rounds": ratios,
        },
        "samples_ms": rounds,
    }


def _short_names(models: tuple[str, ...]) -> list[str]:
    """The folders' own names where they tell the models apart: paths mean nothing on another machine.

    A model that is listed twice, to see how far equal things measure apart, is numbered.
    """
    short = [Path(model).resolve().name if Path(model).exists() else model for model in models]
    names = short if len(set(short)) == len(set(models)) else list(models)
    seen = [names[: index + 1].count(name) for index, name in enumerate(names)]
    return [name if number == 1 else f"{name} ({number})" for name, number in zip(names, seen, strict=True)]
