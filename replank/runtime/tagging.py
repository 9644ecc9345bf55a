"""Words of a text with their labels, and the entities that they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from replank.runtime.predictors import Logits
from replank.tasks.answers import Entity, TaggedText, Word
from replank.tasks.entities import entity_scheme
from replank.tasks.task import Task
from replank.text.tokens import Tokens


def tag_text(task: Task, text: str, tokens: Tokens, logits: Logits) -> TaggedText:
    """The labelled words of one text.

    :param tokens: of the text, with the words that were found in it.
    :param logits: shape ``(tokens, outputs)``; padding after them is not looked at.
    :raises ModelError: a logit is NaN or infinite.
    """
    seen = np.array([start for start in tokens.starts if start >= 0], dtype=np.int64)
    scores = iter(task.scores(logits[seen]) if len(seen) else [])
    words = []
    for (begin, end), start in zip(tokens.spans, tokens.starts, strict=True):
        best = next(scores)[0] if start >= 0 else None
        label, score = (best.label, best.score) if best else (None, None)
        words.append(Word(text[begin:end], begin, end, label, score))
    return TaggedText(words, _entities(task, text, words))


def _entities(task: Task, text: str, words: Sequence[Word]) -> list[Entity]:
    scheme = entity_scheme(task.labels)
    found = []
    for kind, first, after_last in scheme.spans([word.label for word in words]) if scheme else []:
        start, end = words[first].start, words[after_last - 1].end
        score = min(word.score or 0.0 for word in words[first:after_last])
        found.append(Entity(kind, text[start:end], start, end, score))
    return found
