"""Feature extraction: a bare encoder, whose last hidden states are the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import DataError
from replank.tasks.kinds.cells import Cell
from replank.tasks.kinds.kind import Kind, Route, Thresholds


class FeatureExtraction(Kind):
    """A vector for each token. Nothing trains or scores it: it is exported, compared, quantized and served."""

    name = "feature-extraction"
    head = "FeatureExtraction"
    pipeline = "feature-extraction"
    output = "last_hidden_state"
    has_head = False
    is_per_token = True
    takes_pairs = False
    has_labels = False
    has_label_names = False
    route: ClassVar[Route] = "/embed"
    serves = "gives vectors"

    @property
    def auto_class(self) -> str:
        """transformers' class of bare encoders."""
        return "AutoModel"

    def outputs(self, labels: Sequence[str]) -> int:
        """The hidden size's."""
        return 0

    def describe(self, labels: Sequence[str]) -> str:
        """Vectors."""
        return "vectors"

    def parse_label(self, cell: Cell, text: str, index: Mapping[str, int]) -> Any:
        """There are none."""
        raise DataError("feature extraction has no labels")

    def label_array(self, labels: Sequence[Any]) -> NDArray[Any]:
        """Empty: there are none."""
        return np.empty(0, dtype=np.int64)

    def default_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """None: what vectors are good for, a task decides."""
        return ()

    def agreement(
        self, reference: NDArray[np.float32], candidate: NDArray[np.float32], thresholds: Thresholds = None
    ) -> float | None:
        """Vectors are no decisions."""
        return None
