"""Task metrics, computed by scikit-learn and scipy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.errors import DataError
from replank.extras import require
from replank.tasks import Task

Predictions = NDArray[Any]


def _accuracy(truth: Predictions, predicted: Predictions) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(truth, predicted))


def _f1(truth: Predictions, predicted: Predictions) -> float:
    """F1 of class 1, as GLUE has it for MRPC and QQP."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted, pos_label=1, average="binary", zero_division=0))


def _macro_f1(truth: Predictions, predicted: Predictions) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted, average="macro", zero_division=0))


def _matthews(truth: Predictions, predicted: Predictions) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(truth, predicted))


def _pearson(truth: Predictions, predicted: Predictions) -> float:
    from scipy.stats import pearsonr

    return float(pearsonr(truth, predicted).statistic) if len(truth) > 1 else 0.0


def _spearman(truth: Predictions, predicted: Predictions) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(truth, predicted).statistic) if len(truth) > 1 else 0.0


METRICS: dict[str, Callable[[Predictions, Predictions], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}


def decide(task: Task, logits: NDArray[np.float32]) -> Predictions:
    """The answers that logits stand for.

    :param logits: shape ``(examples, outputs)``.
    :returns: shape ``(examples,)``: label indices, or the number itself for regression.
    """
    return logits.argmax(axis=1) if task.kind == "classification" else logits[:, 0]


def score(task: Task, logits: NDArray[np.float32], truth: Predictions | None) -> dict[str, float]:
    """All metrics of the task, each a fraction: 1.0 is perfect.

    A constant answer has no correlation; it is scored 0, as a model that says nothing deserves. So is a single row.

    :param logits: shape ``(examples, outputs)``.
    :param truth: shape ``(examples,)``: label indices, or numbers for regression.
    :raises DataError: the examples carry no labels, or a logit is not a finite number.
    """
    if truth is None:
        raise DataError("this split has no labels to score against", hint="choose another --split")
    if not np.isfinite(logits).all():
        raise DataError("the model's logits are not finite numbers (NaN or infinity)")
    require("scikit-learn", "scipy")
    predicted = decide(task, logits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both libraries warn about constant predictions; 0 says it too
        values = {name: METRICS[name](truth, predicted) for name in task.metrics}
    return {name: value if np.isfinite(value) else 0.0 for name, value in values.items()}
