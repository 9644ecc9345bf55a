"""Dynamic INT8: the scale of each token's activations is computed when the token arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import onnx
from onnx import version_converter

from replank.text.padding import Batch
from replank_export.graph_files import save_graph
from replank_export.int8.config import Int8Config
from replank_export.int8.linear_layers import OPSET, quantize_by_token
from replank_export.int8.prepared_graph import TABLES, PreparedGraph


@dataclass(frozen=True)
class DynamicInt8(Int8Config):
    """The scale of each token's activations is computed from that token alone; no calibration is needed."""

    name: ClassVar[str] = "dynamic"

    def graph(self, path: Path, texts: Sequence[Batch]) -> PreparedGraph:
        """See :class:`DynamicGraph`."""
        # Without the weights of files beside it: a protobuf message could not hold them.
        model = onnx.load(str(path), load_external_data=False)
        onnx.save(version_converter.convert_version(model, OPSET), str(path))
        return DynamicGraph(path, per_channel=self.per_channel, reduce_range=self.reduce_range)

    def ort_config(self) -> dict[str, Any]:
        """ONNX Runtime's quantized operators."""
        return {"is_static": False, "format": "QOperator", "per_channel": self.per_channel}


class DynamicGraph(PreparedGraph):
    """A graph whose linear layers quantize their own input, token by token."""

    def _write(self, target: Path, keep: Sequence[str]) -> None:
        model = onnx.load(str(self._path))
        quantize_by_token(model, keep, per_channel=self._per_channel, reduce_range=self._reduce_range)
        tables_left = self._path.with_name("tables_left.onnx")
        save_graph(model, tables_left)
        self._quantize_weights(tables_left, target, keep, TABLES)
