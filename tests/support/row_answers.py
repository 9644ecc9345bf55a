"""Answers per row, made in code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.runtime.evaluate import RowAnswers
from replank.tasks.kinds import KINDS
from replank.tasks.retrieval import PASSAGE_METRICS
from replank.tasks.task import Task

TWO_CLASSES = Task("films", KINDS["classification"], ("bad", "good"), ("text",), "label", ("accuracy",))
THREE_CLASSES = Task(
    "colours", KINDS["classification"], ("red", "green", "blue"), ("text",), "label", ("macro_f1", "matthews")
)
NUMBERS = Task("stars", KINDS["regression"], (), ("text",), "label", ("pearson", "spearman"))
TOPICS = Task(
    "topics",
    KINDS["multi-label"],
    ("sport", "money", "law"),
    ("text",),
    "labels",
    KINDS["multi-label"].default_metrics(()),
)
WORDS = Task(
    "names",
    KINDS["token-classification"],
    ("O", "B-PER", "I-PER", "B-LOC"),
    ("text",),
    "tags",
    ("entity_f1", "accuracy", "macro_f1", "matthews"),
)
PASSAGES = Task(
    "answers", KINDS["reranker"], (), ("query", "passage"), "label", tuple(PASSAGE_METRICS), query_column="query_id"
)


def answers(task: Task, predicted: Any, truth: Any, *, model: str = "m", data: str = "d" * 64) -> RowAnswers:
    """Answers of a model on dev.

    :param predicted: labels or numbers, or for each row a list: of the labels of its words, of a truth value for each
        label, or of its passages' scores; ``truth`` likewise.
    """
    return RowAnswers(
        model=model,
        task=task,
        split="dev",
        data=data,
        predicted=_decisions(task, predicted),
        truth=_decisions(task, truth),
    )


def right_or_wrong(right: Sequence[bool] | NDArray[np.bool_], **settings: str) -> RowAnswers:
    """Answers of two classes that are right on some rows."""
    truth = np.arange(len(right)) % 2
    return answers(TWO_CLASSES, np.where(right, truth, 1 - truth), truth, **settings)


def _decisions(task: Task, values: Any) -> Any:
    if task.is_ranked:
        return [np.array(row, dtype=np.float32) for row in values]
    if task.is_per_token:
        return [np.array(row, dtype=np.int64) for row in values]
    if task.kind.is_multi_label:
        return np.array(values, dtype=np.bool_)
    return np.array(values, dtype=np.int64 if task.kind.has_label_names else np.float32)
