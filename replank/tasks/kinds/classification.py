"""Classification: one label of several for each text or pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from replank.tasks.answers import Score, Tensor
from replank.tasks.kinds.cells import Cell, look_up, single_value
from replank.tasks.kinds.kind import AGREEMENT, Kind, Route, Thresholds, Value
from replank.tasks.probabilities import softmax

AnyScore = TypeVar("AnyScore", bound=Score)


class Classification(Kind):
    """One label of several, by softmax."""

    name = "classification"
    aliases: ClassVar[tuple[str, ...]] = ("text-classification",)
    head = "SequenceClassification"
    pipeline = "text-classification"
    route: ClassVar[Route] = "/predict"
    serves = "labels whole texts"
    likeness_metrics: ClassVar[tuple[str, ...]] = (AGREEMENT,)

    def fits(self, outputs: int, problem_type: str | None) -> bool:
        """Several outputs, of which one is right."""
        return outputs > 1 and problem_type in (None, "single_label_classification")

    def outputs(self, labels: Sequence[str]) -> int:
        """One for each label."""
        return len(labels)

    def head_settings(self, labels: Sequence[str]) -> dict[str, object]:
        """The labels, and cross entropy as loss."""
        return named_labels(labels) | {"problem_type": "single_label_classification"}

    def describe(self, labels: Sequence[str]) -> str:
        """The first labels."""
        return f"{len(labels)} labels ({', '.join(labels[:5])})"

    def parse_label(self, cell: Cell, text: str, index: Mapping[str, int]) -> int:
        """The label's index."""
        return look_up(single_value(cell), index)

    def label_array(self, labels: Sequence[Any]) -> NDArray[Any]:
        """int64, shape ``(examples,)``."""
        return np.array(labels, dtype=np.int64)

    def columns(self, labels: Sequence[str], *, every: bool) -> list[str]:
        """The likeliest label and its probability, then those of all labels."""
        return ["label", "score", *(f"score_{label}" for label in labels if every)]

    def row(self, labels: Sequence[str], scores: Sequence[Score], *, every: bool) -> list[Value]:
        """The values of :meth:`columns`."""
        probabilities = {score.label: score.score for score in scores}
        return [scores[0].label, scores[0].score, *(probabilities[label] for label in labels if every)]

    def tensors(self, labels: Sequence[str]) -> list[Tensor]:
        """``label``, and ``scores`` in the model's order."""
        return [Tensor("label", "BYTES"), Tensor("scores", "FP32", len(labels))]

    def tensor_data(self, labels: Sequence[str], scores: Sequence[Sequence[Score]]) -> dict[str, list[Any]]:
        """The likeliest label of each text, and all probabilities, text by text."""
        place = {label: index for index, label in enumerate(labels)}
        in_order = [sorted(row, key=lambda score: place[score.label]) for row in scores]
        return {"label": [row[0].label for row in scores], "scores": [entry.score for row in in_order for entry in row]}

    def default_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Accuracy, and F1 averaged over labels."""
        return ("accuracy", "macro_f1")

    def possible_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Matthews' correlation too; of two classes, F1 of the second; and agreement with another model."""
        return (*self.default_metrics(labels), "matthews", *(("f1",) if len(labels) == 2 else ()), AGREEMENT)

    def _scores(self, labels: Sequence[str], logits: NDArray[np.float32], thresholds: Thresholds) -> list[list[Score]]:
        return softmax_scores(labels, logits)


def named_labels(labels: Sequence[str]) -> dict[str, object]:
    """Labels in the fields of transformers' configuration."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def softmax_scores(labels: Sequence[str], logits: NDArray[np.float32]) -> list[list[Score]]:
    """The probabilities of labels that exclude each other, the likeliest first.

    :param logits: shape ``(examples, labels)``.
    """
    return [
        likeliest_first(Score(label, float(value)) for label, value in zip(labels, row, strict=True))
        for row in softmax(logits)
    ]


def likeliest_first(scores: Iterable[AnyScore]) -> list[AnyScore]:
    """Scores in the order of answers."""
    return sorted(scores, key=lambda score: -score.score)
