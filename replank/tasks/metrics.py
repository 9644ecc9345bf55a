"""Task metrics, computed by scikit-learn, scipy and seqeval."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import DataError
from replank.system.extras import require
from replank.tasks.task import GLUE, Task

Predictions = NDArray[Any]
# Where each token is asked: an array for each example.
Answers = Predictions | list[NDArray[np.int64]]


def _accuracy(truth: Predictions, predicted: Predictions) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(truth, predicted))


def _f1(truth: Predictions, predicted: Predictions, positive: int) -> float:
    """F1 of one class against the other, as GLUE has it for MRPC and QQP."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth == positive, predicted == positive, zero_division=0))


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
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}


def decide(task: Task, logits: NDArray[np.float32]) -> Predictions:
    """The answers that logits stand for.

    :param logits: shape ``(examples, outputs)``, or ``(examples, length, outputs)`` where each token is asked.
    :returns: the same shape without the last dimension: indices, or the number itself for regression.
    :raises DataError: a logit is not a finite number.
    """
    if not np.isfinite(logits).all():
        raise DataError("the model's logits are not finite numbers (NaN or infinity)")
    return logits[:, 0] if task.kind == "regression" else logits.argmax(axis=-1)


def score(task: Task, predicted: Answers, truth: Answers | None) -> dict[str, float]:
    """All metrics of the task, each a fraction: 1.0 is perfect.

    A constant answer has no correlation; it is scored 0, as a model that says nothing deserves. So is a single row.

    :param predicted: shape ``(examples,)``, as of :func:`decide`. Where each token is asked, a sequence of arrays, one
        an example, of the tokens that have a label.
    :param truth: the labels, likewise.
    :raises DataError: the examples carry no labels.
    """
    truth = require_labels(truth)
    require("scikit-learn", "scipy")
    flat = [np.concatenate(rows) if task.is_per_token else np.asarray(rows) for rows in (truth, predicted)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries warn about constant predictions; 0 says it too
        special = {
            "f1": partial(_f1, flat[0], flat[1], _positive(task)),
            "entity_f1": partial(_entity_f1, task, truth, predicted),
        }
        plain = {name: partial(metric, *flat) for name, metric in METRICS.items()}
        values = {name: (plain | special)[name]() for name in task.metrics}
    return {name: value if np.isfinite(value) else 0.0 for name, value in values.items()}


def require_labels(truth: Answers | None) -> Answers:
    """The labels of a split.

    :raises DataError: it has none.
    """
    if truth is None:
        raise DataError("this split has no labels to score against", hint="choose another --split")
    return truth


def _positive(task: Task) -> int:
    """The output that F1 counts: GLUE's class 1, wherever the model has it; else the second."""
    if task.name not in GLUE:
        return 1
    name = GLUE[task.name].labels[1].casefold()
    return next((index for index, label in enumerate(task.labels) if label.casefold() == name), 1)


def _entity_f1(task: Task, truth: Answers, predicted: Answers) -> float:
    """F1 of whole entities, as the CoNLL-2003 shared task's script counts them; labels such as B-PER, I-PER and O."""
    require("seqeval")
    from seqeval.metrics import f1_score

    named = [[[task.labels[index] for index in row] for row in rows] for rows in (truth, predicted)]
    return float(f1_score(*named, zero_division=0))
