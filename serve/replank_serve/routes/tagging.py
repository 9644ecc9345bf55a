"""A text whose words a model labelled: the words where they lie in it, and the entities that they make."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from replank.runtime.model import Logits
from replank.tasks.task import Task
from replank.text.tokenization import Tokens

# What str.split() calls a word, with its place.
_WORD = re.compile(r"\S+")


def tag(task: Task, text: str, tokens: Tokens, logits: Logits) -> dict[str, Any]:
    """A :class:`TaggedBody` of one text.

    :param tokens: of the text's words, joined by :func:`join_words`.
    :param logits: shape ``(tokens, outputs)``.
    :raises ModelError: a logit is not a finite number.
    """
    matches = list(_WORD.finditer(text))
    # A text without words is joined to one that is empty.
    starts = tokens.starts[: len(matches)]
    seen = np.array([start for start in starts if start >= 0], dtype=np.int64)
    scores = iter(task.kind.scores(task, logits[seen]) if len(seen) else [])
    words: list[dict[str, Any]] = []
    for match, start in zip(matches, starts, strict=True):
        best = next(scores)[0] if start >= 0 else None
        place = {"text": match[0], "start": match.start(), "end": match.end()}
        words.append(place | {"label": best and best.label, "score": best and best.score})
    return {"words": words, "entities": _entities(task, text, words)}


def _entities(task: Task, text: str, words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Words put together by their labels: ``B-`` begins, ``I-`` of the same kind goes on or else begins too."""
    if not all(label == "O" or label[:2] in ("B-", "I-") for label in task.labels):
        return []
    found: list[dict[str, Any]] = []
    inside = None
    for word in words:
        label = word["label"] or "O"
        kind = None if label == "O" else label[2:]
        if kind and kind == inside and label.startswith("I-"):
            entity = found[-1]
            entity |= {"end": word["end"], "score": min(entity["score"], word["score"])}
            entity["text"] = text[entity["start"] : entity["end"]]
        elif kind:
            found.append(word | {"label": kind})
        inside = kind
    return found
