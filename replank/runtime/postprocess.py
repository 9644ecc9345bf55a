"""Scores of the words of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from replank.tasks.answers import Score
from replank.text.words import join_words

if TYPE_CHECKING:
    from replank.runtime.model import Model


def word_scores(model: Model, texts: Sequence[str]) -> list[list[tuple[str, Score | None]]]:
    """The words of each text, as white space cuts them, each with its likeliest label.

    :returns: ``None`` for a word beyond the length that the model reads.
    :raises ModelError: a logit is NaN or infinite.
    """
    words = [text.split() for text in texts]
    found = []
    for row, logits in zip(words, model.word_logits([join_words(row) for row in words]), strict=True):
        seen = [values for values in logits if values is not None]
        scores = iter(model.task.kind.scores(model.task, np.array(seen)) if seen else [])
        labelled = [None if values is None else next(scores)[0] for values in logits]
        # A text without words is joined to one that is empty.
        found.append(list(zip(row, labelled, strict=False)))
    return found
