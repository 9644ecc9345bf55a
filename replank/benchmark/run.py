"""How fast models are, side by side: a fresh process for each, measured in turn, with every sample kept."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import numpy as np

from replank.benchmark.config import BenchmarkConfig as BenchmarkConfig
from replank.benchmark.config import Cell, Variant, short_names
from replank.benchmark.load import OtherLoad
from replank.benchmark.process import WorkerProcess
from replank.benchmark.statistics import half_width, latency, ratio
from replank.models.provenance import config_json
from replank.system.environment import machine, versions
from replank.system.errors import MissingExtraError, ProviderError, ReplankError, UsageError

RESULT_SCHEMA = 2
# What ``stopped`` says after Ctrl-C.
INTERRUPTED = "interrupted"
# Threads of ONNX Runtime and OpenMP go on spinning for some milliseconds after a run; the next would pay.
_PAUSE_SECONDS = 0.02
# A ratio is known when its interval reaches no farther than this from it, and comes from so many rounds.
_KNOWN, _ROUNDS_TO_KNOW = 0.05, 12
# After a turn of another model the caches are cold, which a run of this length does not notice.
_LONG_RUN_MS = 100
# Others' use of the cores that is noise no more, as a part of them.
_BUSY = 0.1


class Progress(Protocol):
    """Called after each turn, and once for all that are left out."""

    def __call__(self, amount: int = 1, note: str = "") -> None:
        """Say that turns are over, and which."""
        ...


def benchmark(config: BenchmarkConfig, progress: Progress | None = None) -> dict[str, Any]:
    """Measure all variants.

    :returns: JSON values: ``config``, ``machine``, ``versions``, ``load_average`` before and after;
        ``models`` with ``load_seconds``, ``peak_memory_bytes``, ``model_bytes``, ``task``, the manifest's ``quality``
        and more facts; ``left_out``, what ``auto`` cannot run where, and why; ``baseline``; and ``cells``. A cell holds
        ``samples_ms``, a list for each round; ``p50_ms``, ``p90_ms``, ``p95_ms`` and ``p99_ms`` of them all, with
        ``intervals_ms``; ``mean_ms``; ``texts_per_second``, by the mean; ``joules_per_text``, of the whole machine, or
        ``None``; and ``ratio``, how many times as fast as the baseline, see
        :func:`ratio`. ``length`` is ``None`` for real texts.
        ``same_task`` says whether the qualities may be compared: they are of one task and of the same rows.
        ``other_load`` is how many cores others used meanwhile; ``disturbed`` says that they used many, or that runs
        varied as they then do: the latencies are not to be relied on, the ratios as far as their intervals reach.
        ``stopped`` is the error, or Ctrl-C, that ended it early, after at least one whole round, else ``None``.
    :raises UsageError: a length above a model's limit.
    :raises ReplankError: a model that cannot be loaded or run, or whose process died, before a round was whole.
    :raises KeyboardInterrupt: before a round was whole.
    """
    load_before, stopped, told = os.getloadavg(), None, False
    with ExitStack() as stack:
        workers, left_out = _start(config, stack)
        variants = list(workers)
        if progress and left_out:
            progress(config.rounds * len(config.cells) * len(left_out), f"{len(left_out)} left out")
        _check_lengths(config, workers)
        meter = OtherLoad(worker.process_id for worker in workers.values())
        baseline = next(n for n, variant in enumerate(variants) if config.baseline in (None, variant.name))
        run = _Run(config, list(workers.values()), baseline)
        try:
            for round_number, cell, index in run.turns():
                run.take(round_number, cell, index)
                if progress and round_number < config.rounds:
                    progress(1, _note(variants[index], round_number, cell, config))
                elif progress and not told:
                    progress(0, f"more rounds where a ratio is not known to {_KNOWN:.0%} yet")
                    told = True
        except (ReplankError, KeyboardInterrupt) as error:
            if not run.whole_rounds:
                raise
            stopped = (
                {"error": error.message, "hint": error.hint}
                if isinstance(error, ReplankError)
                else {"error": INTERRUPTED, "hint": "the result is of the rounds that were whole"}
            )
        other_load = None if stopped else meter.cores()
        models = [
            {"name": variant.name} | worker.facts | {"peak_memory_bytes": worker.peak_memory_bytes}
            for variant, worker in workers.items()
        ]
    cells = run.summary([variant.name for variant in variants])
    facts = machine()
    return {
        "schema": RESULT_SCHEMA,
        "config": config_json(config) | {"models": short_names(config.models), "texts": _texts_json(config)},
        "machine": facts,
        "versions": versions(),
        "load_average": {"before": list(load_before), "after": list(os.getloadavg())},
        "other_load": other_load,
        "models": models,
        "left_out": left_out,
        "baseline": variants[baseline].name,
        "same_task": _is_same_task(models),
        "cells": cells,
        "disturbed": is_disturbed(cells) or (other_load or 0.0) > _BUSY * facts["cores"],
        "stopped": stopped,
    }


def is_disturbed(cells: list[dict[str, Any]]) -> bool:
    """Whether a cell's runs varied as they do on a machine that is busy with something else.

    On a quiet machine one run in ten is not half as long again as the median. Real texts differ in length by nature.
    """
    return any(cell["p90_ms"] > 1.5 * cell["p50_ms"] for cell in cells if cell["length"] is not None)


class _Run:
    """The turns that were taken, and those that follow from them."""

    def __init__(self, config: BenchmarkConfig, workers: list[WorkerProcess], baseline: int) -> None:
        self._config, self._workers = config, workers
        self._samples: dict[tuple[Cell, int], list[list[float]]] = {
            (cell, index): [] for cell in config.cells for index in range(len(workers))
        }
        self._joules: dict[tuple[Cell, int], list[float | None]] = {key: [] for key in self._samples}
        self._baseline = baseline

    def turns(self) -> Iterator[tuple[int, Cell, int]]:
        """Round, cell and variant of each turn. Who begins rotates, for who follows finds the cores warmer.

        First the rounds that were asked for. Then, while there is time, more of the cell that is known worst.
        """
        count, start = len(self._workers), time.monotonic()
        for round_number in range(self._config.rounds):
            for cell in self._config.cells:
                for offset in range(count):
                    yield round_number, cell, (round_number + offset) % count
        widths = {cell: self._width(cell) for cell in self._config.cells}
        while count > 1 and time.monotonic() - start < self._config.max_seconds:
            cell = max(widths, key=lambda cell: widths[cell])
            if widths[cell] <= _KNOWN:
                break
            round_number = len(self._samples[cell, 0])
            for offset in range(count):
                yield round_number, cell, (round_number + offset) % count
            widths[cell] = self._width(cell)

    def take(self, round_number: int, cell: Cell, index: int) -> None:
        """Let one variant have its turn."""
        config, before = self._config, self._samples[cell, index]
        is_long = bool(before) and float(np.median(before[-1])) > _LONG_RUN_MS
        command = {
            "batch_size": cell[0],
            "length": cell[1],
            "seed": config.seed,
            "warmup": config.warmup if round_number == 0 else 0 if is_long else min(1, config.warmup),
            "first": round_number == 0,
            "min_iterations": config.min_iterations,
            "min_seconds": config.min_seconds / config.rounds,
        }
        time.sleep(_PAUSE_SECONDS)
        samples, joules = self._workers[index].measure(command)
        before.append(samples)
        self._joules[cell, index].append(joules)

    @property
    def whole_rounds(self) -> int:
        """How many rounds all have had at all cells."""
        return min(map(len, self._samples.values()))

    def summary(self, names: list[str]) -> list[dict[str, Any]]:
        """The cells of the result; a round that not all had is left out."""
        count = (len(names) - 1) * len(self._config.cells)
        cells = []
        for index, name in enumerate(names):
            for cell in self._config.cells:
                ours, baseline = self._rounds(cell, index), self._rounds(cell, self._baseline)
                cells.append(
                    {"model": name, "batch_size": cell[0], "length": cell[1]}
                    | latency(ours, cell[0])
                    | {
                        "joules_per_text": self._joules_per_text(cell, index),
                        "ratio": ratio(ours, baseline, count),
                        "samples_ms": ours,
                    }
                )
        return cells

    def _rounds(self, cell: Cell, index: int) -> list[list[float]]:
        """What was measured in the rounds that all had."""
        whole = min(len(self._samples[cell, other]) for other in range(len(self._workers)))
        return self._samples[cell, index][:whole]

    def _width(self, cell: Cell) -> float:
        """How far the ratios' intervals reach; infinitely far after few rounds, whose spread says little."""
        if len(self._samples[cell, 0]) < _ROUNDS_TO_KNOW:
            return float("inf")
        count = (len(self._workers) - 1) * len(self._config.cells)
        baseline = self._samples[cell, self._baseline]
        return max(half_width(ratio(self._samples[cell, i], baseline, count)) for i in range(len(self._workers)))

    def _joules_per_text(self, cell: Cell, index: int) -> float | None:
        """Over all turns; ``None`` where the machine does not tell."""
        joules = [value for value in self._joules[cell, index] if value is not None]
        texts = cell[0] * sum(map(len, self._samples[cell, index]))
        return sum(joules) / texts if len(joules) == len(self._joules[cell, index]) else None


def _start(config: BenchmarkConfig, stack: ExitStack) -> tuple[dict[Variant, WorkerProcess], dict[str, str]]:
    """A process for each variant; and what ``auto`` left out, and why."""
    short = dict(zip(config.models, short_names(config.models), strict=True))
    workers, left_out = {}, {}
    for variant in config.variants:
        try:
            workers[variant] = stack.enter_context(WorkerProcess(variant, config.threads, config.texts))
        except (ProviderError, MissingExtraError) as error:
            # Where not even the CPU can run it, nothing can; and without a baseline there is no ratio.
            if not config.is_auto or variant.device == "cpu" or variant.name == config.baseline:
                raise
            # As everywhere in the result: no folders of this machine.
            left_out[variant.name] = error.message.replace(variant.model, short[variant.model])
    return workers, left_out


def _note(variant: Variant, round_number: int, cell: Cell, config: BenchmarkConfig) -> str:
    shape = f"{cell[0]} x {cell[1]} tokens" if cell[1] else f"{cell[0]} texts"
    return f"{variant.name}, {shape}, round {round_number + 1}/{config.rounds}"


def _check_lengths(config: BenchmarkConfig, workers: dict[Variant, WorkerProcess]) -> None:
    """Before anything is measured, not minutes later."""
    for variant, worker in workers.items():
        limit = worker.facts["length_limit"]
        if not config.texts and max(config.lengths) > limit:
            raise UsageError(f"--length {max(config.lengths)}: {variant.name} takes at most {limit} tokens")


def _is_same_task(models: list[dict[str, Any]]) -> bool:
    """A model without a manifest has neither task nor quality, and hinders no comparison of the others'."""
    tasks = {model["task"] for model in models if model["task"]}
    rows = {model["quality"]["data"] for model in models if model["quality"]}
    return len(tasks) <= 1 and len(rows) <= 1


def _texts_json(config: BenchmarkConfig) -> dict[str, Any] | None:
    """Which texts, without the texts: they are the user's data."""
    digest = hashlib.sha256(json.dumps(config.texts).encode()).hexdigest()
    return {"count": len(config.texts), "sha256": digest} if config.texts else None
