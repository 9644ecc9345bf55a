"""Logits to answers: what `predict` prints and what the server sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import ModelError
from replank.tasks.task import Task
from replank.text.words import join_words

if TYPE_CHECKING:
    from replank.runtime.model import Model


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


def word_answers(model: Model, texts: Sequence[str]) -> list[list[tuple[str, Score | None]]]:
    """The words of each text, as white space cuts them, each with its likeliest label.

    :returns: ``None`` for a word beyond the length that the model reads.
    :raises ModelError: a logit is not a finite number.
    """
    words = [text.split() for text in texts]
    found = []
    for row, logits in zip(words, model.word_logits([join_words(row) for row in words]), strict=True):
        seen = [values for values in logits if values is not None]
        scores = iter(answers(model.task, np.array(seen)) if seen else [])
        labelled = [None if values is None else next(scores)[0] for values in logits]
        # A text without words is joined to one that is empty.
        found.append(list(zip(row, labelled, strict=False)))
    return found
