"""Logits to answers: what `predict` prints and what the server sends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replank.errors import ModelError
from replank.tasks import Task


@dataclass(frozen=True)
class Score:
    """One label with its probability; of a regression task the number itself, under the label ``value``."""

    label: str
    score: float


def answers(task: Task, logits: NDArray[np.float32]) -> list[list[Score]]:
    """All labels of each example, the likeliest first.

    :param logits: shape ``(examples, outputs)``.
    :raises ModelError: a logit is not a finite number.
    """
    if not np.isfinite(logits).all():
        raise ModelError("the model's logits are not finite numbers (NaN or infinity)")
    if task.kind == "regression":
        return [[Score("value", float(row[0]))] for row in logits]
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return [
        sorted(
            (Score(label, float(value)) for label, value in zip(task.labels, row, strict=True)),
            key=lambda score: -score.score,
        )
        for row in probabilities
    ]
