"""Metrics of many resamples at once: each row counts as often as it was drawn.

:func:`replank.tasks.metrics.score` has the same values of the rows written out, one resample at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from replank.tasks.groups import Groups
from replank.tasks.kinds.kind import AGREEMENT
from replank.tasks.metrics import METRICS, Decisions, entities_by_row, positive_label, require_groups
from replank.tasks.ranking import QUERY_METRICS, pairs, standing
from replank.tasks.retrieval import PASSAGE_METRICS, per_query
from replank.tasks.task import Task

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]
# How often each row, or query, was drawn, shape ``(resamples, rows)``, to a metric's values, ``(resamples,)``, NaN
# where the metric is undefined.
WeightedMetric = Callable[[Floats], Floats]
_Maker = Callable[[Task, Decisions, Decisions], WeightedMetric]

# Of a variance, as a part of the largest one.
_ROUNDING = 1e-9


def weighted_metric(
    name: str, task: Task, predicted: Decisions, truth: Decisions, groups: Groups | None = None
) -> WeightedMetric:
    """A metric of one model's answers as a function of the rows' weights, which are whole numbers.

    It is undefined, NaN, where it would divide by 0: a correlation of values that are all the same, or F1 of a class
    that is neither there nor found.

    :param name: one of :data:`replank.tasks.metrics.METRIC_NAMES`.
    :param predicted: as :func:`replank.tasks.metrics.score` takes it; ``truth`` likewise.
    :param groups: of rows about candidates of queries: then the weights are the queries'.
    """
    if name not in METRICS:
        return _of_candidates(name, require_groups(groups), np.asarray(predicted))
    return _WEIGHTED[name](task, truth, predicted)


def _subset_accuracy(task: Task, truth: Decisions, predicted: Decisions) -> WeightedMetric:
    right = (np.asarray(truth) == np.asarray(predicted)).all(axis=1).astype(np.float64)
    return lambda weights: _ratio(weights @ right, weights.sum(axis=1))


def _micro(of: Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]) -> _Maker:
    """A metric of all decisions together.

    :param of: what it divides, of the numbers of labels in both, in the truth and in the answers.
    """

    def maker(task: Task, truth: Decisions, predicted: Decisions) -> WeightedMetric:
        counts = [np.asarray(count.sum(axis=1), dtype=np.float64) for count in _class_counts(task, truth, predicted)]
        return lambda weights: _ratio(*of(*(weights @ count for count in counts)))

    return maker


def _accuracy(task: Task, truth: Decisions, predicted: Decisions) -> WeightedMetric:
    labels = _labels(task, truth)
    right = _labels(task, predicted) == labels
    rows = _row_of_each(task, truth)
    found, asked = np.bincount(rows, right, len(truth)), np.bincount(rows, minlength=len(truth))
    return lambda weights: _ratio(weights @ found, weights @ asked)


def _agreement(task: Task, truth: Decisions, predicted: Decisions) -> WeightedMetric:
    return (_subset_accuracy if task.kind.is_multi_label else _accuracy)(task, truth, predicted)


def _f1(task: Task, truth: Decisions, predicted: Decisions) -> WeightedMetric:
    wanted, found = (_labels(task, labels) == positive_label(task) for labels in (truth, predicted))
    rows = _row_of_each(task, truth)
    common = np.bincount(rows, wanted & found, len(truth))
    of_both = np.bincount(rows, wanted, len(truth)) + np.bincount(rows, found, len(truth))
    return lambda weights: _ratio(2 * (weights @ common), weights @ of_both)


def _macro_f1(task: Task, truth: Decisions, predicted: Decisions) -> WeightedMetric:
    common, wanted, found = _class_counts(task, truth, predicted)

    def measured(weights: Floats) -> Floats:
        # Of a class that is not in the resample, NaN; as scikit-learn, the mean leaves it out.
        by_class = _ratio(2 * (weights @ common), weights @ (wanted + found))
        if task.kind.is_multi_label:
            # It counts labels, which are always the same, and not the classes that occur.
            return np.asarray(np.nan_to_num(by_class).mean(axis=1))
        is_there = ~np.isnan(by_class)
        return _ratio(np.where(is_there, by_class, 0).sum(axis=1), is_there.sum(axis=1))

    return measured


def _matthews(task: Task, truth: Decisions, predicted: Decisions) -> WeightedMetric:
    counts = _class_counts(task, truth, predicted)

    def measured(weights: Floats) -> Floats:
        """As of several classes (Gorodkin, 2004)."""
        common, wanted, found = (weights @ count for count in counts)
        total = wanted.sum(axis=1)
        together = common.sum(axis=1) * total - (wanted * found).sum(axis=1)
        spread = (total**2 - (wanted**2).sum(axis=1)) * (total**2 - (found**2).sum(axis=1))
        return _ratio(together, np.sqrt(spread))

    return measured


def _pearson(task: Task, truth: Decisions, predicted: Decisions) -> WeightedMetric:
    # Small numbers, so that a variance of 0 is told from one that rounding makes.
    x, y = (np.asarray(values, dtype=np.float64)[np.newaxis] for values in (truth, predicted))
    x, y = x - x.mean(), y - y.mean()
    return lambda weights: _correlation(weights, x, y)


def _spearman(task: Task, truth: Decisions, predicted: Decisions) -> WeightedMetric:
    ranks_of_truth, ranks_of_predicted = _Ranks(truth), _Ranks(predicted)
    return lambda weights: _correlation(weights, ranks_of_truth(weights), ranks_of_predicted(weights))


def _entity_f1(task: Task, truth: Decisions, predicted: Decisions) -> WeightedMetric:
    wanted, found = entities_by_row(task, truth), entities_by_row(task, predicted)
    common = np.array([len(ours & theirs) for ours, theirs in zip(wanted, found, strict=True)])
    of_both = np.array([len(ours) + len(theirs) for ours, theirs in zip(wanted, found, strict=True)])
    return lambda weights: _ratio(2 * (weights @ common), weights @ of_both)


def _of_candidates(name: str, groups: Groups, scores: NDArray[Any]) -> WeightedMetric:
    if name in QUERY_METRICS:
        values = QUERY_METRICS[name](standing(groups, scores))
        counts = ~np.isnan(values)
        return lambda weights: _ratio(weights @ np.where(counts, values, 0.0), weights @ counts)
    found = pairs(groups, scores)

    def measured(weights: Floats) -> Floats:
        from sklearn.metrics import average_precision_score

        return np.array(
            [
                average_precision_score(found.is_right, found.scores, sample_weight=drawn[found.queries])
                for drawn in weights
            ]
        )

    return measured


def _of_passages(name: str) -> _Maker:
    def measured(task: Task, truth: Decisions, predicted: Decisions) -> WeightedMetric:
        values = per_query(name, list(truth), list(predicted))
        has_one = ~np.isnan(values)
        return lambda weights: _ratio(weights @ np.where(has_one, values, 0), weights @ has_one)

    return measured


_WEIGHTED: Mapping[str, _Maker] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "micro_f1": _micro(lambda common, wanted, found: (2 * common, wanted + found)),
    "micro_precision": _micro(lambda common, wanted, found: (common, found)),
    "micro_recall": _micro(lambda common, wanted, found: (common, wanted)),
    "subset_accuracy": _subset_accuracy,
    AGREEMENT: _agreement,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
    "entity_f1": _entity_f1,
    **{name: _of_passages(name) for name in PASSAGE_METRICS},
}


class _Ranks:
    """The ranks of a resample's values, equal values at the mean of their ranks.

    :param values: shape ``(rows,)``.
    """

    def __init__(self, values: Any) -> None:
        from scipy.sparse import csr_array

        distinct, self._place = np.unique(np.asarray(values), return_inverse=True)
        ones, rows = np.ones(len(values)), np.arange(len(values))
        self._groups = csr_array((ones, (rows, self._place)), shape=(len(values), len(distinct)))

    def __call__(self, weights: Floats) -> Floats:
        """Shape ``(resamples, rows)``."""
        drawn = weights @ self._groups
        ranks = np.cumsum(drawn, axis=1) - (drawn - 1) / 2
        return np.asarray(ranks[:, self._place])


def _correlation(weights: Floats, x: Floats, y: Floats) -> Floats:
    """Pearson's.

    :param x: shape ``(resamples, rows)``, or ``(1, rows)`` where values are the same in all; ``y`` likewise.
    """
    x, y = _centred(weights, x), _centred(weights, y)
    spread = np.sqrt(_variance(weights, x) * _variance(weights, y))
    return np.clip(_ratio(np.einsum("ij,ij,ij->i", weights, x, y), spread), -1, 1)


def _centred(weights: Floats, values: Floats) -> Floats:
    """Values minus the mean of those drawn, shape ``(resamples, rows)``."""
    means = np.einsum("ij,ij->i", weights, np.broadcast_to(values, weights.shape)) / weights.sum(axis=1)
    return np.asarray(values - means[:, np.newaxis])


def _variance(weights: Floats, centred: Floats) -> Floats:
    """The sum of squares, 0 where all values that were drawn are the same, which by rounding it need not be."""
    found = np.einsum("ij,ij,ij->i", weights, centred, centred)
    for index in np.flatnonzero(found <= _ROUNDING * found.max()):
        if np.ptp(centred[index, weights[index] > 0]) == 0:
            found[index] = 0
    return np.asarray(found)


def _class_counts(task: Task, truth: Decisions, predicted: Decisions) -> tuple[csr_array, csr_array, csr_array]:
    """How often each row has each label in both, in the truth, and in the answers, shape ``(rows, labels)`` each."""
    from scipy.sparse import csr_array

    wanted, found = _labels(task, truth), _labels(task, predicted)
    if task.kind.is_multi_label:
        return csr_array(wanted & found, dtype=float), csr_array(wanted, dtype=float), csr_array(found, dtype=float)
    rows, shape = _row_of_each(task, truth), (len(truth), int(max(wanted.max(initial=0), found.max(initial=0))) + 1)
    ones, right = np.ones(len(rows)), wanted == found
    return (
        csr_array((ones[right], (rows[right], wanted[right])), shape=shape),
        csr_array((ones, (rows, wanted)), shape=shape),
        csr_array((ones, (rows, found)), shape=shape),
    )


def _labels(task: Task, decisions: Decisions) -> NDArray[np.int64]:
    """The labels of all rows in one array; of per-token tasks, of all tokens."""
    return np.asarray(np.concatenate(decisions) if task.is_per_token else decisions)


def _row_of_each(task: Task, decisions: Decisions) -> NDArray[np.int64]:
    """The row that each of :func:`_labels` is of."""
    return np.repeat(np.arange(len(decisions)), [len(row) for row in decisions] if task.is_per_token else 1)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """NaN where there is nothing."""
    found = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=found, where=np.asarray(whole) != 0)
    return found
