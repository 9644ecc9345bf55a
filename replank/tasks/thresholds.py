"""Thresholds of multi-label tasks: the probability from which a label holds, chosen on labelled rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.tasks.kinds.kind import AGREEMENT
from replank.tasks.kinds.multi_label import DEFAULT_THRESHOLD
from replank.tasks.probabilities import sigmoid
from replank.tasks.task import Task

_CANDIDATES = np.round(np.arange(0.01, 1.0, 0.01), 2)
_FOLDS = 5

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_Rule = Callable[[str, Bools, NDArray[np.float32]], Floats]


def with_thresholds(task: Task, logits: NDArray[np.float32], truth: NDArray[Any]) -> Task:
    """A task with the thresholds that serve its headline metric best; any other than a multi-label one as it is.

    Three rules compete: 0.5; one threshold for all labels; one for each. A richer one fits the rows that chose it
    better and other rows often worse: thresholds of their own raise the macro F1 and lower the micro F1. So each rule
    chooses on four fifths of the rows and decides the rest, five times over, and a richer one takes a simpler one's
    place only where it gains more than a standard error there (Breiman et al., 1984). Where precision or recall is the
    headline, thresholds serve the micro F1: alone, either is best where all labels hold, or none.

    :param logits: of rows that the model was not trained on, shape ``(rows, labels)``.
    :param truth: whether each label holds, likewise.
    """
    if not task.kind.is_multi_label:
        return task
    if len(truth) < 2 * _FOLDS:
        return replace(task, thresholds=None)
    probabilities, truth, metric = sigmoid(logits), np.asarray(truth, dtype=np.bool_), task.headline
    folds = np.random.default_rng(0).permutation(len(truth)) % _FOLDS
    best, best_quality = _default, _on_folds(_default, metric, truth, probabilities, folds)
    for rule in (_shared, _of_each):
        quality = _on_folds(rule, metric, truth, probabilities, folds)
        gains = quality - best_quality
        if gains.mean() > gains.std(ddof=1) / np.sqrt(_FOLDS):
            best, best_quality = rule, quality
    return replace(task, thresholds=tuple(best(metric, truth, probabilities).tolist()))


def _on_folds(
    rule: _Rule, metric: str, truth: Bools, probabilities: NDArray[np.float32], folds: NDArray[np.int64]
) -> Floats:
    """The metric on each fold, decided by the thresholds that suit the others, shape ``(folds,)``."""
    found = []
    for fold in range(_FOLDS):
        others, own = folds != fold, folds == fold
        thresholds = rule(metric, truth[others], probabilities[others])
        found.append(_quality(metric, truth[own], probabilities[own] >= thresholds))
    return np.array(found)


def _default(metric: str, truth: Bools, probabilities: NDArray[np.float32]) -> Floats:
    return np.full(truth.shape[1], DEFAULT_THRESHOLD)


def _shared(metric: str, truth: Bools, probabilities: NDArray[np.float32]) -> Floats:
    """One for all labels, by the metric."""
    quality = [_quality(metric, truth, probabilities >= threshold) for threshold in _CANDIDATES]
    return np.full(truth.shape[1], _CANDIDATES[np.argmax(quality)])


def _of_each(metric: str, truth: Bools, probabilities: NDArray[np.float32]) -> Floats:
    """One for each label, by its F1; of a label that no row has, the shared one."""
    quality = [_f1_of_each(truth, probabilities >= threshold) for threshold in _CANDIDATES]
    own = _CANDIDATES[np.argmax(quality, axis=0)]
    return np.where(truth.any(axis=0), own, _shared(metric, truth, probabilities))


def _quality(metric: str, truth: Bools, holds: Bools) -> float:
    if metric in ("subset_accuracy", AGREEMENT):
        return float((truth == holds).all(axis=1).mean())
    if metric == "macro_f1":
        return float(_f1_of_each(truth, holds).mean())
    return float(2 * (truth & holds).sum() / max(1, truth.sum() + holds.sum()))


def _f1_of_each(truth: Bools, holds: Bools) -> Floats:
    return np.asarray(2 * (truth & holds).sum(axis=0) / np.maximum(1, truth.sum(axis=0) + holds.sum(axis=0)))
