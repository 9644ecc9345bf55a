"""Dynamic INT8: the scales of activations are computed for each batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from replank.text.padding import Batch
from replank_export.int8.config import Int8Config
from replank_export.int8.prepared_graph import LINEAR_OPERATORS, TABLES, PreparedGraph


@dataclass(frozen=True)
class DynamicInt8(Int8Config):
    """Scales of activations are computed for each batch; no calibration is needed."""

    name: ClassVar[str] = "dynamic"

    def graph(self, path: Path, texts: Sequence[Batch]) -> PreparedGraph:
        """See :class:`DynamicGraph`."""
        return DynamicGraph(path, per_channel=self.per_channel, reduce_range=self.reduce_range)

    def ort_config(self) -> dict[str, Any]:
        """ONNX Runtime's quantized operators."""
        return {"is_static": False, "format": "QOperator", "per_channel": self.per_channel}


class DynamicGraph(PreparedGraph):
    """A graph whose linear layers quantize their own input."""

    def _write(self, target: Path, keep: Sequence[str]) -> None:
        self._quantize_weights(self._path, target, keep, (*LINEAR_OPERATORS, *TABLES))
