"""The contents of answers, from a model's outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from replank.runtime.pooling import pool
from replank.runtime.predictors import Logits
from replank.system.errors import UsageError
from replank.tasks.answers import Filling, Score, TaggedText
from replank.tasks.entities import Part, entity_scheme
from replank.tasks.probabilities import sigmoid, softmax
from replank.tasks.task import Task
from replank.tasks.vectors import Vectors

Function = Literal["softmax", "sigmoid", "none"]


def label_scores(task: Task, logits: Logits, function: Function | None) -> list[list[Score]]:
    """The scores of all labels of each text, the highest first.

    :param logits: shape ``(texts, outputs)``.
    :param function: applied to the logits; ``None`` is the task's own.
    """
    if function is None:
        return task.scores(logits)
    names = task.labels or ("value",)
    return [
        sorted(
            (Score(name, float(value)) for name, value in zip(names, row, strict=True)), key=lambda score: -score.score
        )
        for row in _applied(function, logits)
    ]


def filling_bodies(found: Sequence[Filling]) -> list[dict[str, Any]]:
    """The tokens of one mask, in the shape of transformers' pipeline."""
    return [
        {"score": filling.score, "token": filling.token, "token_str": filling.text, "sequence": filling.sequence}
        for filling in found
    ]


def text_vectors(rows: Sequence[Logits], asked: Vectors, *, dimensions: int | None) -> Logits:
    """One vector for each text, shape ``(texts, dimensions)``.

    :param rows: the vectors of each text's tokens, shape ``(tokens, width)``; ``(width,)`` if the graph pools.
    :param asked: how they become one.
    :param dimensions: the first so many numbers only, normalized again (Matryoshka representations; Kusupati et al.,
        2022); ``None`` is all.
    :raises UsageError: the model's vectors have fewer dimensions.
    """
    vectors = np.stack([pool(row, asked.pooling, normalize=asked.normalize) for row in rows])
    if dimensions is None:
        return vectors
    if dimensions > vectors.shape[1]:
        raise UsageError(f"dimensions: {dimensions} is more than the model's {vectors.shape[1]}")
    cut = vectors[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.asarray(cut / np.where(lengths > 0, lengths, 1) if asked.normalize else cut, dtype=np.float32)


def entity_groups(
    labels: tuple[str, ...], text: str, tagged: TaggedText, ignored: Sequence[str]
) -> list[dict[str, Any]]:
    """The entities of a text, in the shape of transformers' pipeline with the aggregation strategy ``first``.

    Neighbours with one label outside of entities are joined too, and those of labels that make none.

    :param labels: of the task.
    :param ignored: types of entities, and labels outside, to leave out.
    """
    scheme = entity_scheme(labels)
    parts: Mapping[str, Part] = scheme.parts if scheme else {}
    groups: list[tuple[str, int, int, list[float]]] = []
    before = ""
    for word in tagged.words:
        if word.label is None or word.score is None:
            continue
        place, name = parts.get(word.label, ("I", word.label))
        if groups and groups[-1][0] == name and before in ("B", "I") and place in ("I", "E"):
            _, start, _, scores = groups[-1]
            groups[-1] = (name, start, word.end, [*scores, word.score])
        else:
            groups.append((name, word.start, word.end, [word.score]))
        before = place
    return [
        {
            "entity_group": name,
            "score": sum(scores) / len(scores),
            "word": text[start:end],
            "start": start,
            "end": end,
        }
        for name, start, end, scores in groups
        if name not in ignored
    ]


def _applied(function: Function, logits: Logits) -> Logits:
    if function == "none":
        return logits
    if function == "sigmoid":
        return sigmoid(logits)
    return softmax(logits)
