"""Words of a text with their labels, and the entities that they make."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from replank.runtime.predictors import Logits
from replank.tasks.answers import Entity, TaggedText, Word
from replank.tasks.task import Task
from replank.text.tokens import Tokens

# What str.split() calls a word, with its place.
_WORD = re.compile(r"\S+")


def tag_text(task: Task, text: str, tokens: Tokens, logits: Logits) -> TaggedText:
    """The labelled words of one text.

    :param tokens: of the text's words, joined by :func:`join_words`.
    :param logits: shape ``(tokens, outputs)``; padding after them is not looked at.
    :raises ModelError: a logit is NaN or infinite.
    """
    matches = list(_WORD.finditer(text))
    # A text without words is joined to one that is empty.
    starts = tokens.starts[: len(matches)]
    seen = np.array([start for start in starts if start >= 0], dtype=np.int64)
    scores = iter(task.kind.scores(task.labels, logits[seen]) if len(seen) else [])
    words = []
    for match, start in zip(matches, starts, strict=True):
        best = next(scores)[0] if start >= 0 else None
        label, score = (best.label, best.score) if best else (None, None)
        words.append(Word(match[0], match.start(), match.end(), label, score))
    return TaggedText(words, _entities(task, text, words))


def _entities(task: Task, text: str, words: Sequence[Word]) -> list[Entity]:
    """Words put together by their labels: ``B-`` begins, ``I-`` of the same type continues or else begins too."""
    if not all(label == "O" or label[:2] in ("B-", "I-") for label in task.labels):
        return []
    found: list[Entity] = []
    inside = None
    for word in words:
        label = word.label or "O"
        kind = None if label == "O" else label[2:]
        if kind and kind == inside and label.startswith("I-"):
            before = found.pop()
            score = min(before.score, word.score or 0.0)
            found.append(Entity(kind, text[before.start : word.end], before.start, word.end, score))
        elif kind:
            found.append(Entity(kind, word.text, word.start, word.end, word.score or 0.0))
        inside = kind
    return found
