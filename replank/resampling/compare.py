"""Two methods on one task: each metric's difference, and whether it is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replank.resampling.estimate import Difference, Estimate, Kept
from replank.resampling.resample import Resampled, Resampling, resample
from replank.resampling.task_runs import TaskRuns
from replank.runtime.evaluate import RowAnswers

A, B = "A", "B"


@dataclass(frozen=True, kw_only=True)
class MetricComparison:
    """Both methods by one metric; values are means over seeds.

    :param difference: A minus B.
    :param kept_a: of the predecessor; ``None`` without one, or where its own metric is not above 0 in every resample.
        ``kept_b`` likewise.
    :param undefined: the resamples in which the metric of some run was undefined, and counted as 0.
    """

    a: float
    b: float
    difference: Difference
    kept_a: Kept | None = None
    kept_b: Kept | None = None
    undefined: int

    @property
    def verdict(self) -> str:
        """What the difference says, in points of 100."""
        found = self.difference
        if not found.excludes_zero:
            return f"no difference is shown; A less B is {_points(found.value, found.low, found.high)}"
        if found.low > 0:
            return f"A is better by {_points(found.value, found.low, found.high)}"
        return f"B is better by {_points(-found.value, -found.high, -found.low)}"


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Two methods on the same rows.

    :param a: the models, seed by seed; ``b`` and ``predecessor`` likewise.
    :param task: its name.
    :param data: digest of the rows.
    :param metrics: by name, the headline first.
    """

    a: tuple[str, ...]
    b: tuple[str, ...]
    predecessor: tuple[str, ...]
    task: str
    split: str
    data: str
    rows: int
    seeds: int
    resamples: int
    metrics: dict[str, MetricComparison]

    @property
    def cautions(self) -> list[str]:
        """What else a reader must know, each in a sentence without its full stop."""
        found = []
        if self.seeds == 1:
            found.append("one seed of each: the intervals hold the chance of the rows, not that of the training")
        for name, metric in self.metrics.items():
            if metric.undefined:
                found.append(
                    f"{name} is undefined in {metric.undefined} of {self.resamples} resamples, as where all labels or "
                    "answers are the same; it counts as 0 there"
                )
            if self.predecessor and metric.kept_a is None:
                found.append(f"of {name} nothing is said to be kept: the predecessor's is not above 0 in all resamples")
        return found


def compare_answers(
    a: Sequence[RowAnswers],
    b: Sequence[RowAnswers],
    predecessor: Sequence[RowAnswers] = (),
    resampling: Resampling | None = None,
) -> PairedComparison:
    """Compare two methods by the metrics that both have.

    :param a: answers of each seed; ``b`` in the same order of seeds.
    :param predecessor: of each seed, or one for all.
    :raises DataError: answers are of different tasks or rows, or of one row alone.
    :raises UsageError: different numbers of seeds.
    """
    resampling = resampling or Resampling()
    runs = TaskRuns({A: a, B: b}, predecessor)
    found = resample(runs, runs.metrics, resampling)
    return PairedComparison(
        a=tuple(answers.model for answers in a),
        b=tuple(answers.model for answers in b),
        predecessor=tuple(answers.model for answers in predecessor),
        task=runs.task.name,
        split=runs.split,
        data=a[0].data,
        rows=runs.rows,
        seeds=runs.seeds,
        resamples=resampling.resamples,
        metrics={name: _metric_comparison(resampled) for name, resampled in found.items()},
    )


def kept_part(answers: RowAnswers, predecessor: RowAnswers, metric: str) -> Kept | None:
    """The part of a predecessor's metric that a model keeps, with its interval; of one seed.

    :returns: ``None`` where the predecessor's is not above 0 in every resample.
    :raises DataError: answers are of different tasks or rows, or of one row alone.
    """
    found = resample(TaskRuns({A: [answers]}, [predecessor]), (metric,), Resampling())[metric]
    return _kept(found.methods[A], found.predecessor)


def _metric_comparison(found: Resampled) -> MetricComparison:
    a, b = found.methods[A], found.methods[B]
    return MetricComparison(
        a=a.value,
        b=b.value,
        difference=Difference.of(a - b),
        kept_a=_kept(a, found.predecessor),
        kept_b=_kept(b, found.predecessor),
        undefined=found.undefined,
    )


def _kept(estimate: Estimate, predecessor: Estimate | None) -> Kept | None:
    return Kept.of(estimate / predecessor) if predecessor and predecessor.is_positive else None


def _points(value: float, low: float, high: float) -> str:
    """Points of 100 with their interval; with a second digit where one would show an end of it as 0."""
    digits = 1 if min(abs(low), abs(high)) >= 0.0005 or low == high else 2
    value, low, high = (round(100 * number, digits) + 0.0 for number in (value, low, high))
    return f"{value:.{digits}f} points ({low:.{digits}f} to {high:.{digits}f})"
