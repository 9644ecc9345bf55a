"""Probability: one number between 0 and 1 for each text or pair, such as the relevance of a passage to a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import DataError
from replank.tasks.answers import Score
from replank.tasks.kinds.cells import Cell
from replank.tasks.kinds.kind import Thresholds
from replank.tasks.kinds.regression import Regression
from replank.tasks.probabilities import sigmoid

if TYPE_CHECKING:
    import torch


class Probability(Regression):
    """One number, by the sigmoid and binary cross entropy: what transformers makes of a head with one output."""

    name = "probability"
    serves = "gives probabilities"

    def fits(self, outputs: int, problem_type: str | None) -> bool:
        """A head with one output that does not call itself a regression."""
        return outputs == 1 and problem_type in (None, "multi_label_classification")

    def head_settings(self, labels: Sequence[str]) -> dict[str, object]:
        """One output, and binary cross entropy as loss."""
        return super().head_settings(labels) | {"problem_type": "multi_label_classification"}

    def describe(self, labels: Sequence[str]) -> str:
        """A probability."""
        return "a probability"

    def parse_label(self, cell: Cell, text: str, index: Mapping[str, int]) -> float:
        """The probability."""
        value = super().parse_label(cell, text, index)
        if not 0 <= value <= 1:
            raise DataError(f"expected a probability as label, from 0 to 1, found {value}")
        return value

    def target_array(self, targets: Sequence[Any], length: int) -> NDArray[Any]:
        """Shape ``(batch, 1)``, as binary cross entropy compares them with logits."""
        return np.array(targets, dtype=np.float32).reshape(-1, 1)

    def distillation_loss(self, student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
        """T²·KL(σ(t/T) ∥ σ(s/T)), as of two labels."""
        return bernoulli_divergence(student, teacher, temperature)

    def _decide(self, logits: NDArray[np.float32], thresholds: Thresholds) -> NDArray[Any]:
        return sigmoid(logits[:, 0])

    def _scores(self, labels: Sequence[str], logits: NDArray[np.float32], thresholds: Thresholds) -> list[list[Score]]:
        return [[Score("value", float(value))] for value in sigmoid(logits[:, 0])]


def bernoulli_divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T²·KL(σ(t/T) ∥ σ(s/T)), the mean over the outputs, as the binary cross entropy on labels is one.

    :param student: logits, shape ``(answers, outputs)``; ``teacher`` likewise.
    :returns: shape ``(answers,)``.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    ours, theirs = student.float() / temperature, teacher.float() / temperature
    target = theirs.sigmoid()
    ours, theirs = (binary_cross_entropy_with_logits(logits, target, reduction="none") for logits in (ours, theirs))
    return (ours - theirs).mean(-1) * temperature**2
