"""Regression: one number for each text or pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from replank.tasks.answers import Score, Tensor
from replank.tasks.kinds.cells import Cell, finite_number
from replank.tasks.kinds.kind import Kind, Route, Thresholds, Value

if TYPE_CHECKING:
    import torch

    from replank.text.tokens import Tokens


class Regression(Kind):
    """One number, by mean squared error."""

    name = "regression"
    head = "SequenceClassification"
    pipeline = "text-classification"
    has_label_names = False
    can_rank = True
    likeness_metrics: ClassVar[tuple[str, ...]] = ("pearson", "spearman")
    route: ClassVar[Route] = "/predict"
    serves = "gives numbers"

    def fits(self, outputs: int, problem_type: str | None) -> bool:
        """A head with one output that says so."""
        return outputs == 1 and problem_type == "regression"

    def outputs(self, labels: Sequence[str]) -> int:
        """One."""
        return 1

    def head_settings(self, labels: Sequence[str]) -> dict[str, object]:
        """One output, and the squared error as loss."""
        return {
            "num_labels": 1,
            "problem_type": "regression",
            "id2label": {0: "value"},
            "label2id": {"value": 0},
        }

    def describe(self, labels: Sequence[str]) -> str:
        """A number."""
        return "a number"

    def parse_label(self, cell: Cell, text: str, index: Mapping[str, int]) -> float:
        """The number."""
        return finite_number(cell)

    def label_array(self, labels: Sequence[Any]) -> NDArray[Any]:
        """float32, shape ``(examples,)``."""
        return np.array(labels, dtype=np.float32)

    def distillation_loss(self, student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
        """The squared difference of the numbers; temperature has no meaning here."""
        difference = student.float() - teacher.float()
        return difference.square().sum(-1)

    def unlabelled_target(self, tokens: Tokens, answer: NDArray[np.float32]) -> Any:
        """The teacher's number, whose loss as a label is the one as an answer."""
        return self.decide(answer)[0]

    def holding(self, scores: Sequence[Score]) -> tuple[str, ...]:
        """None: a number is no label."""
        return ()

    def columns(self, labels: Sequence[str], *, every: bool) -> list[str]:
        """The number."""
        return ["value"]

    def row(self, labels: Sequence[str], scores: Sequence[Score], *, every: bool) -> list[Value]:
        """The number."""
        return [scores[0].score]

    def tensors(self, labels: Sequence[str]) -> list[Tensor]:
        """``value``."""
        return [Tensor("value", "FP32")]

    def tensor_data(self, labels: Sequence[str], scores: Sequence[Sequence[Score]]) -> dict[str, list[Any]]:
        """The numbers."""
        return {"value": [row[0].score for row in scores]}

    def default_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Correlations of values and of ranks."""
        return ("pearson", "spearman")

    def agreement(
        self, reference: NDArray[np.float32], candidate: NDArray[np.float32], thresholds: Thresholds = None
    ) -> float | None:
        """Numbers are no decisions."""
        return None

    def disagreement(self, reference: NDArray[Any], candidate: NDArray[Any]) -> tuple[float, str]:
        """The largest difference, as a fraction of the reference's range."""
        spread = float(np.ptp(reference)) or 1.0
        return float(np.abs(candidate - reference).max()) / spread, "of their range"

    def _decide(self, logits: NDArray[np.float32], thresholds: Thresholds) -> NDArray[Any]:
        return logits[:, 0]

    def _scores(self, labels: Sequence[str], logits: NDArray[np.float32], thresholds: Thresholds) -> list[list[Score]]:
        return [[Score("value", float(row[0]))] for row in logits]
