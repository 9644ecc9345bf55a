"""Task metrics, computed by scikit-learn and scipy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import DataError
from replank.system.extras import require
from replank.tasks.entities import Span, entity_scheme
from replank.tasks.glue import GLUE
from replank.tasks.groups import Groups
from replank.tasks.kinds.kind import AGREEMENT
from replank.tasks.ranking import QUERY_METRICS, QueryMetric, mean_over_queries, pairs, standing
from replank.tasks.retrieval import PASSAGE_METRICS, per_query
from replank.tasks.task import Task
from replank.tasks.vectors import unit_vectors

# Of per-token kinds, an array for each example; of ranked passages, for each query.
Decisions = NDArray[Any] | list[NDArray[Any]]
Metric = Callable[[Task, Decisions, Decisions], float]
# Of the scores of rows that are about candidates.
RankingMetric = Callable[[Groups, NDArray[Any]], float]


def score(task: Task, predicted: Decisions, truth: Decisions | None, groups: Groups | None = None) -> dict[str, float]:
    """All metrics of a task, each a fraction: 1.0 is perfect.

    A constant prediction has no correlation and scores 0; so does a single row.

    :param predicted: shape ``(examples,)``, as of :meth:`Kind.decide`; ``(examples, labels)`` where several labels may
        hold. Of per-token kinds, an array for each example of the tokens that have a label; of ranked passages, an
        array for each query of their scores.
    :param truth: the labels, likewise.
    :param groups: the rows by query and candidate, of kinds that rank candidates.
    :raises DataError: the examples carry no labels, or belong to no queries.
    """
    truth = require_labels(truth)
    if not len(_flat(task, truth)):
        raise DataError("this split has nothing to score: no word or row with a label", hint="choose another `split`")
    require("scikit-learn", "scipy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries warn about constant predictions; 0 says it too
        values = {
            name: METRICS[name](task, truth, predicted)
            if name in METRICS
            else CANDIDATE_METRICS[name](require_groups(groups), np.asarray(predicted))
            for name in task.metrics
        }
    return {name: value if np.isfinite(value) else 0.0 for name, value in values.items()}


def majority_share(task: Task, truth: Decisions) -> float | None:
    """The fraction of the labels that are the most frequent one: the accuracy of always answering it.

    :returns: ``None`` where labels are no names, or several may hold.
    """
    if not task.kind.has_label_names or task.kind.is_multi_label:
        return None
    labels = _flat(task, truth)
    return float(np.bincount(labels).max() / len(labels)) if len(labels) else None


def require_labels(truth: Decisions | None, *, otherwise: str = "") -> Decisions:
    """The labels of a split.

    :param otherwise: what a person may do instead of choosing another split, for the hint.
    :raises DataError: it has none.
    """
    if truth is None:
        hint = "choose another `split`" + (otherwise and f", or {otherwise}")
        raise DataError("this split has no labels to score against", hint=hint)
    return truth


def chance_correlation(task: Task, predicted: Decisions, truth: Decisions) -> float:
    """The correlation of answers with labels: 0 by chance, however frequent a label is.

    Of labels Matthews', of numbers Pearson's; where several labels may hold the mean over them.
    """
    if not task.kind.is_multi_label:
        metric = "matthews" if task.kind.has_label_names else "pearson"
        return score(replace(task, metrics=(metric,)), predicted, truth)[metric]
    from sklearn.metrics import matthews_corrcoef

    pairs = zip(np.asarray(truth).T, np.asarray(predicted).T, strict=True)
    return float(np.mean([matthews_corrcoef(wanted, found) for wanted, found in pairs]))


def require_groups(groups: Groups | None) -> Groups:
    """The queries of a split.

    :raises DataError: it has none, as a training split.
    """
    if groups is None:
        raise DataError("this split has no queries whose candidates could be ranked", hint="choose another `split`")
    return groups


def positive_label(task: Task) -> int:
    """The output that F1 counts: GLUE's class 1, wherever the model has it; else the second."""
    if task.name not in GLUE:
        return 1
    name = GLUE[task.name].labels[1].casefold()
    return next((index for index, label in enumerate(task.labels) if label.casefold() == name), 1)


def entities_by_row(task: Task, decisions: Decisions) -> list[set[Span]]:
    """The entities of each row.

    :raises DataError: the task's labels make none.
    """
    scheme = entity_scheme(task.labels)
    if scheme is None:
        raise DataError(f"the labels {', '.join(task.labels)} make no entities, which the metric entity_f1 counts")
    return [set(scheme.spans([task.labels[index] for index in row])) for row in decisions]


def _mean_over_queries(metric: QueryMetric) -> RankingMetric:
    return lambda groups, scores: mean_over_queries(metric(standing(groups, scores)))


def _auc_pr(groups: Groups, scores: NDArray[Any]) -> float:
    """The area under the precision-recall curve, one wrong candidate for each right one (Teru et al., 2020)."""
    from sklearn.metrics import average_precision_score

    found = pairs(groups, scores)
    return float(average_precision_score(found.is_right, found.scores))


def _flat(task: Task, decisions: Decisions) -> NDArray[Any]:
    return np.concatenate(decisions) if isinstance(decisions, list) else np.asarray(decisions)


def _accuracy(task: Task, truth: Decisions, predicted: Decisions) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(_flat(task, truth), _flat(task, predicted)))


def _f1(task: Task, truth: Decisions, predicted: Decisions) -> float:
    """F1 of one class against the other, as GLUE has it for MRPC and QQP."""
    from sklearn.metrics import f1_score

    positive = positive_label(task)
    return float(f1_score(_flat(task, truth) == positive, _flat(task, predicted) == positive, zero_division=0))


def _macro_f1(task: Task, truth: Decisions, predicted: Decisions) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(_flat(task, truth), _flat(task, predicted), average="macro", zero_division=0))


def _micro(name: str) -> Metric:
    """F1, precision or recall of all decisions on labels together."""

    def measured(task: Task, truth: Decisions, predicted: Decisions) -> float:
        from sklearn import metrics

        metric = getattr(metrics, f"{name}_score")
        return float(metric(_flat(task, truth), _flat(task, predicted), average="micro", zero_division=0))

    return measured


def _matthews(task: Task, truth: Decisions, predicted: Decisions) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(_flat(task, truth), _flat(task, predicted)))


def _pearson(task: Task, truth: Decisions, predicted: Decisions) -> float:
    from scipy.stats import pearsonr

    return float(pearsonr(_flat(task, truth), _flat(task, predicted)).statistic) if len(truth) > 1 else 0.0


def _spearman(task: Task, truth: Decisions, predicted: Decisions) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(_flat(task, truth), _flat(task, predicted)).statistic) if len(truth) > 1 else 0.0


def _entity_f1(task: Task, truth: Decisions, predicted: Decisions) -> float:
    """F1 of whole entities, each of the right words and type, as the script of CoNLL-2003 counts them."""
    wanted, found = entities_by_row(task, truth), entities_by_row(task, predicted)
    common = sum(len(ours & theirs) for ours, theirs in zip(wanted, found, strict=True))
    return 2 * common / max(1, sum(map(len, wanted)) + sum(map(len, found)))


def _of_passages(name: str) -> Metric:
    """The mean over the queries that have a passage which fits."""

    def measure(task: Task, truth: Decisions, predicted: Decisions) -> float:
        values = per_query(name, list(truth), list(predicted))
        if np.isnan(values).all():
            raise DataError("this split has nothing to score: no query has a passage with a label above 0")
        return float(np.nanmean(values))

    return measure


def _cosine(task: Task, truth: Decisions, predicted: Decisions) -> float:
    """The mean cosine of each vector and the one that it should be."""
    ours, theirs = unit_vectors(np.asarray(predicted)), unit_vectors(np.asarray(truth))
    return float((ours * theirs).sum(axis=1).mean())


def _neighbours(task: Task, truth: Decisions, predicted: Decisions) -> float:
    """The fraction of each text's ten nearest among the others that are its ten nearest as they should be."""
    count = min(10, len(truth) - 1)
    if count < 1:
        return 1.0
    nearest = []
    for vectors in (unit_vectors(np.asarray(truth)), unit_vectors(np.asarray(predicted))):
        likeness = vectors @ vectors.T
        np.fill_diagonal(likeness, -np.inf)
        nearest.append(np.argpartition(-likeness, count - 1, axis=1)[:, :count])
    kept = [len(np.intersect1d(ours, theirs)) for ours, theirs in zip(*nearest, strict=True)]
    return float(np.mean(kept)) / count


METRICS: Mapping[str, Metric] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "micro_f1": _micro("f1"),
    "micro_precision": _micro("precision"),
    "micro_recall": _micro("recall"),
    # scikit-learn's accuracy of rows of labels.
    "subset_accuracy": _accuracy,
    # Likewise, of rows whose labels are another model's decisions.
    AGREEMENT: _accuracy,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
    "entity_f1": _entity_f1,
    **{name: _of_passages(name) for name in PASSAGE_METRICS},
    "cosine": _cosine,
    "neighbours": _neighbours,
}
CANDIDATE_METRICS: Mapping[str, RankingMetric] = {
    **{name: _mean_over_queries(metric) for name, metric in QUERY_METRICS.items()},
    "auc_pr": _auc_pr,
}
METRIC_NAMES = (*METRICS, *CANDIDATE_METRICS)
