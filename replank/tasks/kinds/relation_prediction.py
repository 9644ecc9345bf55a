"""Relation prediction: whether a triple of a knowledge graph holds, by a question and a path of the graph as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import DataError
from replank.tasks.answers import Score, Tensor
from replank.tasks.kinds.cells import Cell
from replank.tasks.kinds.classification import Classification, named_labels, softmax_scores
from replank.tasks.kinds.kind import Thresholds, Value

# In the order of the outputs.
_ANSWERS = ("wrong", "right")


class RelationPrediction(Classification):
    """Two classes, of which the second ranks candidates: a decision is a number, not a class.

    BERTRL's head (Zha et al., 2022): softmax and cross entropy over wrong and right.
    """

    name = "relation-prediction"
    aliases: ClassVar[tuple[str, ...]] = ()
    has_label_names = False
    serves = "judges triples"
    ranks_candidates = True
    likeness_metrics: ClassVar[tuple[str, ...]] = ()

    def fits(self, outputs: int, problem_type: str | None) -> bool:
        """A plain folder with two outputs is of classification; only a manifest, or data, tells of triples."""
        return False

    def outputs(self, labels: Sequence[str]) -> int:
        """Two."""
        return len(_ANSWERS)

    def head_settings(self, labels: Sequence[str]) -> dict[str, object]:
        """The two answers, and cross entropy as loss."""
        return named_labels(_ANSWERS) | {"problem_type": "single_label_classification"}

    def describe(self, labels: Sequence[str]) -> str:
        """Whether triples hold."""
        return "whether triples are right"

    def parse_label(self, cell: Cell, text: str, index: Mapping[str, int]) -> int:
        """None: labels come with mined examples."""
        raise DataError("tables have no triples", hint="`data` is the folder of a graph, or of mined examples")

    def columns(self, labels: Sequence[str], *, every: bool) -> list[str]:
        """Of the two answers."""
        return super().columns(_ANSWERS, every=every)

    def row(self, labels: Sequence[str], scores: Sequence[Score], *, every: bool) -> list[Value]:
        """The values of :meth:`columns`."""
        return super().row(_ANSWERS, scores, every=every)

    def tensors(self, labels: Sequence[str]) -> list[Tensor]:
        """Of the two answers."""
        return super().tensors(_ANSWERS)

    def tensor_data(self, labels: Sequence[str], scores: Sequence[Sequence[Score]]) -> dict[str, list[Any]]:
        """The data of :meth:`tensors`."""
        return super().tensor_data(_ANSWERS, scores)

    def default_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Ranks, of which the mean reciprocal one is the least coarse, and pairs of right and wrong."""
        return ("mrr", "hits@1", "hits@10", "auc_pr")

    def possible_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The same."""
        return self.default_metrics(labels)

    def disagreement(self, reference: NDArray[Any], candidate: NDArray[Any]) -> tuple[float, str]:
        """The fraction of triples that only one of the two holds for right."""
        return float(((reference > 0) != (candidate > 0)).mean()), "of all"

    def _decide(self, logits: NDArray[np.float32], thresholds: Thresholds) -> NDArray[Any]:
        """The log-odds of being right: unlike a probability, still different where both answers are certain."""
        return np.asarray(logits[:, 1] - logits[:, 0])

    def _scores(self, labels: Sequence[str], logits: NDArray[np.float32], thresholds: Thresholds) -> list[list[Score]]:
        return softmax_scores(_ANSWERS, logits)
