"""Sentence embedding: one vector for each text, scored by what the vectors of two texts have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from replank.tasks.kinds.cells import Cell, finite_number
from replank.tasks.kinds.feature_extraction import FeatureExtraction
from replank.tasks.kinds.kind import LIKENESS_METRICS, Thresholds
from replank.tasks.retrieval import PASSAGE_METRICS

if TYPE_CHECKING:
    import torch

    from replank.text.tokens import Tokens


class SentenceEmbedding(FeatureExtraction):
    """A vector for each text: of a graph that pools by itself, as Optimum exports models of sentence-transformers.

    Data of this kind scores every model that gives vectors. Its labels say how alike two texts are (or how well a
    passage fits a query), and only scores need them: a successor learns its predecessor's vectors of any texts.
    """

    name = "sentence-embedding"
    aliases: ClassVar[tuple[str, ...]] = ("sentence-similarity",)
    pipeline = "sentence-similarity"
    output = "sentence_embedding"
    is_per_token = False
    compares_pairs = True
    likeness_metrics: ClassVar[tuple[str, ...]] = LIKENESS_METRICS
    has_labels = True
    labels_are_optional = True
    label_columns: ClassVar[tuple[str, ...]] = ("score", "similarity_score", "label")

    def parse_label(self, cell: Cell, text: str, index: Mapping[str, int]) -> float:
        """The likeness of two texts, on any scale."""
        return finite_number(cell)

    def label_array(self, labels: Sequence[Any]) -> NDArray[Any]:
        """float32, shape ``(examples,)``."""
        return np.array(labels, dtype=np.float32)

    def distillation_loss(self, student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
        """The squared distance of the vectors' directions, 2 - 2·cosine; temperature has no meaning here."""
        from torch.nn.functional import cosine_similarity

        return 2 - 2 * cosine_similarity(student.float(), teacher.float(), dim=-1)

    def unlabelled_target(self, tokens: Tokens, answer: NDArray[np.float32]) -> NDArray[np.float32]:
        """The teacher's vector, shape ``(width,)``."""
        return np.asarray(answer[0], dtype=np.float32)

    def default_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Correlations of cosines with labels."""
        return ("spearman", "pearson")

    def possible_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Those of ranking, too, and those of likeness to a predecessor's vectors."""
        return (*self.default_metrics(labels), *PASSAGE_METRICS, *LIKENESS_METRICS)

    def _decide(self, logits: NDArray[np.float32], thresholds: Thresholds) -> NDArray[Any]:
        return logits
