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
from replank.errors import MissingExtraError, ProviderError, UsageError
from replank.provenance import config_json
from replank.provider_choice import Auto
from replank.providers import PROVIDERS, Device
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
    :param devices: each model runs on each; one that cannot run there is an error. ``auto`` alone: wherever it can.
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
    devices: tuple[Device | Auto, ...] = ("cpu",)
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
        if not self.devices or len(set(self.devices)) != len(self.devices) or (self.is_auto and len(self.devices) > 1):
            raise UsageError(
                f"--device {', '.join(self.devices) or 'none'}: expected some, each once, or auto alone",
            )

    @property
    def is_auto(self) -> bool:
        """Whether models run wherever they can."""
        return "auto" in self.devices

    @property
    def entries(self) -> list[tuple[int, Device]]:
        """The index of a model and a device, of all that are measured side by side."""
        devices = list(PROVIDERS) if self.is_auto else [device for device in self.devices if device != "auto"]
        return [(index, device) for index in range(len(self.models)) for device in devices]

    @property
    def cells(self) -> list[tuple[int, int]]:
        """All pairs of batch size and length."""
        return [(batch_size, length) for length in self.lengths for batch_size in self.batch_sizes]

    @property
    def units(self) -> int:
        """What the amounts that :func:`benchmark` gives to its ``progress`` add up to."""
        return self.rounds * len(self.cells) * len(self.entries)


class Progress(Protocol):
    """Called after each turn, and once for all that are left out."""

    def __call__(self, amount: int = 1, note: str = "") -> None:
        """Say that turns are over, and which."""
        ...


def benchmark(config: BenchmarkConfig, progress: Progress | None = None) -> dict[str, Any]:
    """Measure all models.

    :returns: JSON values: ``config``, ``machine``, ``versions``, ``load_average`` before and after;
        ``models`` with ``load_seconds``, ``peak_memory_bytes``, ``model_bytes``, the manifest's ``quality``
        and more facts; ``left_out``, what ``auto`` cannot run where, and why; and ``cells``. A cell holds
        ``samples_ms``, a list for each round; ``p50_ms``,
        ``p90_ms``, ``p99_ms`` and ``mean_ms`` of them all; ``texts_per_second``, by the mean; and ``ratio``,
        how many times as fast as the first model: by the medians of each round, with their median and range.
        ``disturbed`` says that runs varied as they do on a machine that is busy with something else; the numbers are
        then not to be relied on.
    :raises UsageError: a length above a model's limit.
    :raises ReplankError: a model that cannot be loaded or run, or whose process died.
    """
    load_before = os.getloadavg()
    samples: dict[tuple[int, int, int], list[list[float]]] = {}
    with ExitStack() as stack:
        workers, left_out = _start(config, stack)
        names = list(workers)
        if progress and left_out:
            progress(config.rounds * len(config.cells) * len(left_out), f"{len(left_out)} left out")
        _check_lengths(config, workers)
        for round_number, cell, index in _turns(config, len(names)):
            time.sleep(_PAUSE_SECONDS)
            samples.setdefault((index, *cell), []).append(workers[names[index]].measure(_command(config, cell)))
            if progress:
                progress(
                    1,
                    f"{names[index]}, {cell[0]} x {cell[1]} tokens, round {round_number + 1}/{config.rounds}",
                )
        models = [
            {"name": name} | worker.facts | {"peak_memory_bytes": worker.peak_memory_bytes}
            for name, worker in workers.items()
        ]
    cells = [
        {"model": names[index], "batch_size": batch_size, "length": length}
        | _summary(rounds, samples[0, batch_size, length], batch_size)
        for (index, batch_size, length), rounds in sorted(samples.items())
    ]
    return {
        "schema": RESULT_SCHEMA,
        "config": config_json(config) | {"models": _short_names(config.models)},
        "machine": machine(),
        "versions": versions(),
        "load_average": {"before": list(load_before), "after": list(os.getloadavg())},
        "models": models,
        "left_out": left_out,
        "cells": cells,
        "disturbed": is_disturbed(cells),
    }


def is_disturbed(cells: list[dict[str, Any]]) -> bool:
    """Whether a cell's runs varied as they do on a machine that is busy with something else.

    On a quiet machine one run in ten is not half as long again as the median.
    """
    return any(cell["p90_ms"] > 1.5 * cell["p50_ms"] for cell in cells)


def _start(config: BenchmarkConfig, stack: ExitStack) -> tuple[dict[str, WorkerProcess], dict[str, str]]:
    """A process for each model and device, by the name that it is shown with; and what ``auto`` left out, and why."""
    short = _short_names(config.models)
    workers, left_out = {}, {}
    for index, device in config.entries:
        name = short[index] if len(config.devices) == 1 and not config.is_auto else f"{short[index]} on {device}"
        try:
            workers[name] = stack.enter_context(WorkerProcess(config.models[index], device, config.threads))
        except (ProviderError, MissingExtraError) as error:
            # Where not even the CPU can run it, nothing can.
            if not config.is_auto or device == "cpu":
                raise
            # As everywhere in the result: no folders of this machine.
            left_out[name] = error.message.replace(config.models[index], short[index])
    return workers, left_out


def _turns(config: BenchmarkConfig, count: int) -> Iterator[tuple[int, tuple[int, int], int]]:
    """Round, cell and model of each turn. Who begins rotates, for who follows finds the cores warmer."""
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


def _check_lengths(config: BenchmarkConfig, workers: dict[str, WorkerProcess]) -> None:
    """Before anything is measured, not minutes later."""
    for name, worker in workers.items():
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
