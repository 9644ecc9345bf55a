"""The paired multi-bootstrap: the same seeds and the same rows, drawn again for all methods (Sellam et al., 2022).

arxiv.org/abs/2106.16163, "The MultiBERTs": seeds and rows are both samples, and a difference of methods is shown where
it stands in other draws of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from replank.resampling.estimate import Estimate
from replank.resampling.task_runs import TaskRuns
from replank.resampling.weighted_metrics import Floats, weighted_metric
from replank.runtime.evaluate import RowAnswers
from replank.system.errors import FieldError
from replank.system.settings import setting
from replank.tasks.metrics import score
from replank.tasks.task import Task

_FEWEST_RESAMPLES = 100
# Of a table of resamples by rows that is in memory at once.
_MOST_CELLS = 2_000_000


@dataclass(frozen=True)
class Resampling:
    """How often, and from which seed, seeds and rows are drawn again.

    :param seed: of the draws, not of the models.
    :raises FieldError: too few resamples, or a negative seed.
    """

    resamples: int = setting(2000, "How often seeds and rows are drawn again.")
    seed: int = setting(0, "Seed of the draws: the same one gives the same intervals.")

    def __post_init__(self) -> None:
        if self.resamples < _FEWEST_RESAMPLES:
            raise FieldError("resamples", self.resamples, f"{_FEWEST_RESAMPLES} or more")
        if self.seed < 0:
            raise FieldError("seed", self.seed, "0 or more")


@dataclass(frozen=True)
class Resampled:
    """A metric of all methods on one task, from the same draws.

    :param methods: by their names; the mean over seeds.
    :param predecessor: ``None`` without one.
    :param undefined: the largest number of resamples in which the metric of one run was undefined, and counted as 0, as
        in :func:`replank.tasks.metrics.score`.
    """

    methods: dict[str, Estimate]
    predecessor: Estimate | None
    undefined: int


def resample(
    runs: TaskRuns, metrics: Sequence[str], resampling: Resampling, *, task_number: int = 0
) -> dict[str, Resampled]:
    """Metrics as measured, and of resamples of seeds and of rows; of one seed, of rows alone.

    :param metrics: those to compute.
    :param task_number: tasks of different numbers get draws of their own.
    :returns: by metric.
    """
    # By the first one's task, so that all count the same class.
    task = replace(runs.task, metrics=tuple(metrics))
    draws = _Draws((resampling.seed, task_number), resampling.resamples, runs.seeds, runs.units)
    methods = {name: _resample_method(task, answers, draws) for name, answers in runs.methods.items()}
    predecessor = _resample_method(task, runs.predecessor, draws) if runs.predecessor else None
    everyone = [*methods.values(), *([predecessor] if predecessor else [])]
    return {
        metric: Resampled(
            {name: found[metric].estimate for name, found in methods.items()},
            predecessor[metric].estimate if predecessor else None,
            max(found[metric].undefined for found in everyone),
        )
        for metric in metrics
    }


@dataclass(frozen=True)
class _Draws:
    """The same draws for whoever asks.

    :param key: of the random numbers.
    :param units: what is drawn beside seeds: rows; where candidates are ranked, queries with all their rows.
    """

    key: tuple[int, int]
    resamples: int
    seeds: int
    units: int

    def seed_weights(self) -> Floats:
        """The part that each seed has in each resample, shape ``(resamples, seeds)``."""
        return self._drawn(np.random.default_rng([*self.key, 0]), self.resamples, self.seeds) / self.seeds

    def unit_weights(self) -> Iterator[Floats]:
        """How often each unit is drawn, shape ``(resamples, units)``, in blocks of resamples."""
        generator = np.random.default_rng([*self.key, 1])
        block = max(1, _MOST_CELLS // self.units)
        for start in range(0, self.resamples, block):
            yield self._drawn(generator, min(block, self.resamples - start), self.units)

    def _drawn(self, generator: np.random.Generator, resamples: int, things: int) -> Floats:
        """How often each of some things is drawn, as many as there are, with replacement."""
        draws = generator.integers(things, size=(resamples, things)) + things * np.arange(resamples)[:, np.newaxis]
        counts = np.bincount(draws.ravel(), minlength=resamples * things)
        return counts.reshape(resamples, things).astype(np.float64)


class _MethodMetric(NamedTuple):
    """One metric of one method.

    :param undefined: the largest number of resamples in which it was undefined for one run.
    """

    estimate: Estimate
    undefined: int


def _resample_method(task: Task, runs: Sequence[RowAnswers], draws: _Draws) -> dict[str, _MethodMetric]:
    """All metrics of one method.

    :param runs: of each seed, or one that all seeds share.
    """
    measured = [score(task, run.predicted, run.truth, run.groups) for run in runs]
    weighted = {
        metric: [weighted_metric(metric, task, run.predicted, run.truth, run.groups) for run in runs]
        for metric in task.metrics
    }
    blocks: dict[str, list[Floats]] = {metric: [] for metric in task.metrics}
    for weights in draws.unit_weights():
        for metric, measures in weighted.items():
            blocks[metric].append(np.stack([measure(weights) for measure in measures], axis=1))
    seeds = draws.seed_weights() if len(runs) > 1 else np.ones((draws.resamples, 1))
    found = {}
    for metric in task.metrics:
        values = np.concatenate(blocks[metric])
        resampled = (np.nan_to_num(values) * seeds).sum(axis=1)
        value = float(np.mean([metrics[metric] for metrics in measured]))
        found[metric] = _MethodMetric(Estimate(value, resampled), int(np.isnan(values).sum(axis=0).max()))
    return found
