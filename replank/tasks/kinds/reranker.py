"""Reranking: how well each of several passages fits a query, by a cross-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from replank.tasks.kinds.probability import Probability
from replank.tasks.retrieval import PASSAGE_METRICS

if TYPE_CHECKING:
    import torch


class Reranker(Probability):
    """The probability that a passage answers a query, judged by the order of each query's passages."""

    name = "reranker"
    aliases: ClassVar[tuple[str, ...]] = ("text-ranking",)
    pipeline = "text-ranking"
    serves = "ranks passages"
    is_ranked = True

    def fits(self, outputs: int, problem_type: str | None) -> bool:
        """No plain folder says so: that rows are ranked by query, the data tells."""
        return False

    def describe(self, labels: Sequence[str]) -> str:
        """A score."""
        return "a score of a passage"

    def distillation_loss(self, student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
        """The squared difference of the scores before the sigmoid: the order of unlikely passages counts, too.

        Source: Hofstätter et al., arXiv 2010.02666. Temperature has no meaning here.
        """
        return (student.float() - teacher.float()).square().sum(-1)

    def default_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Those of ranking."""
        return tuple(PASSAGE_METRICS)
