"""The rounds of a benchmark: the order of the turns, their samples, and the cells that follow from them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from replank.benchmarking.config import BenchmarkConfig
from replank.benchmarking.messages import Samples, Turn
from replank.benchmarking.result import Cell, Shape
from replank.benchmarking.statistics import latency, ratio

# A ratio is known if its interval reaches no farther than this from it, and comes from that many rounds.
KNOWN = 0.05
_ROUNDS_TO_KNOW = 12
# Threads of ONNX Runtime and OpenMP spin for some milliseconds after a run, at the expense of the next.
_PAUSE_SECONDS = 0.02
# Caches are cold after another model's turn, which matters little to a run of this length.
_LONG_RUN_MS = 100


class Worker(Protocol):
    """A process that holds one loaded model."""

    def measure(self, turn: Turn) -> Samples:
        """Take one turn."""
        ...


class Rounds:
    """Interleaved rounds of all workers at all shapes.

    :param baseline: the index of the worker that ratios refer to.
    """

    def __init__(self, config: BenchmarkConfig, workers: Sequence[Worker], baseline: int) -> None:
        self._config, self._workers, self._baseline = config, workers, baseline
        self._taken: dict[tuple[Shape, int], list[Samples]] = {
            (shape, index): [] for shape in config.shapes for index in range(len(workers))
        }

    def turns(self) -> Iterator[tuple[int, Shape, int]]:
        """Round, shape and worker of each turn. The first of a round rotates, since the cores are warmer for the next.

        After the configured rounds, and while there is time, follow more of the shape with the widest interval.
        """
        count, start = len(self._workers), time.monotonic()
        for round_number in range(self._config.rounds):
            for shape in self._config.shapes:
                for offset in range(count):
                    yield round_number, shape, (round_number + offset) % count
        widths = {shape: self._width(shape) for shape in self._config.shapes}
        while count > 1 and time.monotonic() - start < self._config.max_seconds:
            shape = max(widths, key=lambda shape: widths[shape])
            if widths[shape] <= KNOWN:
                break
            round_number = len(self._taken[shape, 0])
            for offset in range(count):
                yield round_number, shape, (round_number + offset) % count
            widths[shape] = self._width(shape)

    @property
    def waited(self) -> list[float | None]:
        """For which part of each turn so far a thread waited for a core."""
        return [samples.waited for taken in self._taken.values() for samples in taken]

    def take(self, round_number: int, shape: Shape, index: int) -> None:
        """Let one worker take its turn."""
        config, before = self._config, self._taken[shape, index]
        is_long = bool(before) and float(np.median(before[-1].milliseconds)) > _LONG_RUN_MS
        later_warmup = 0 if is_long else min(1, config.warmup)
        turn = Turn(
            batch_size=shape.batch_size,
            length=shape.length,
            seed=config.seed,
            warmup=config.warmup if round_number == 0 else later_warmup,
            is_first=round_number == 0,
            min_iterations=config.min_iterations,
            min_seconds=config.min_seconds / config.rounds,
        )
        time.sleep(_PAUSE_SECONDS)
        before.append(self._workers[index].measure(turn))

    @property
    def complete(self) -> int:
        """The number of rounds that all workers have finished at all shapes."""
        return min(map(len, self._taken.values()))

    def cells(self, names: Sequence[str]) -> tuple[Cell, ...]:
        """The cells of the result, without incomplete rounds.

        :param names: of the workers' models.
        """
        count = (len(names) - 1) * len(self._config.shapes)
        return tuple(
            self._cell(name, index, shape, count) for index, name in enumerate(names) for shape in self._config.shapes
        )

    def _cell(self, name: str, index: int, shape: Shape, count: int) -> Cell:
        ours, baseline = self._complete_rounds(shape, index), self._complete_rounds(shape, self._baseline)
        return Cell(
            **vars(latency(ours, shape.batch_size)),
            model=name,
            batch_size=shape.batch_size,
            length=shape.length,
            joules_per_text=self._joules_per_text(shape, index),
            ratio=ratio(ours, baseline, count),
            samples_ms=ours,
            waited=tuple(samples.waited for samples in self._taken[shape, index][: len(ours)]),
        )

    def _complete_rounds(self, shape: Shape, index: int) -> tuple[tuple[float, ...], ...]:
        """Milliseconds of the rounds that all workers have finished at a shape."""
        complete = min(len(self._taken[shape, other]) for other in range(len(self._workers)))
        return tuple(samples.milliseconds for samples in self._taken[shape, index][:complete])

    def _width(self, shape: Shape) -> float:
        """The widest relative half-width of a shape's ratios; infinite after few rounds, whose spread says little."""
        if len(self._taken[shape, 0]) < _ROUNDS_TO_KNOW:
            return float("inf")
        baseline = self._complete_rounds(shape, self._baseline)
        count = (len(self._workers) - 1) * len(self._config.shapes)
        return max(
            ratio(self._complete_rounds(shape, index), baseline, count).half_width
            for index in range(len(self._workers))
        )

    def _joules_per_text(self, shape: Shape, index: int) -> float | None:
        """Over all turns; ``None`` if the machine does not report the energy of each."""
        taken = self._taken[shape, index]
        joules = [samples.joules for samples in taken if samples.joules is not None]
        texts = shape.batch_size * sum(len(samples.milliseconds) for samples in taken)
        return sum(joules) / texts if len(joules) == len(taken) else None
