"""The graph's side of INT8: which products are quantized, which stay in floating point, and how to tell."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from replank.environment import has_fast_int8
from replank.errors import UsageError
from replank.quiet import quiet_logging

# Operators whose work is a product with a weight matrix, or a look-up in one: what INT8 is for.
WEIGHT_OPERATORS = ("MatMul", "Gemm", "Attention", "EmbedLayerNormalization", "Gather")


@dataclass(frozen=True)
class DynamicInt8:
    """INT8 weights; activations are scaled batch by batch, so no calibration data is needed.

    :param per_channel: one scale a column of each weight matrix instead of one for all.
    :param max_drop: how far the headline metric may fall below the source's, as a fraction: 0.005 is half a point.
    """

    per_channel: bool = True
    max_drop: float = 0.005

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 1:
            raise UsageError(f"--max-drop is {self.max_drop}; expected a fraction, 0 to 1 (0.005 is half a point)")


class PreparedGraph:
    """A fused fp32 graph with the types that the quantizer needs, ready to be quantized more than once.

    :param path: the prepared file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, target: Path, config: DynamicInt8, keep: Sequence[str] = ()) -> None:
        """Write the graph in INT8.

        :param keep: names of nodes that stay in floating point.
        """
        with quiet_logging():  # it logs its guesses and advice; what it did is counted instead
            quantize_dynamic(
                str(self._path),
                str(target),
                per_channel=config.per_channel,
                # Without VNNI the sum of two products overflows 16 bits: 7 bits a weight then.
                reduce_range=not has_fast_int8(),
                weight_type=QuantType.QInt8,
                nodes_to_exclude=list(keep),
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
            )

    @property
    def products(self) -> list[str]:
        """Names of the nodes that can be kept in floating point: those that hold a weight matrix."""
        return list(dict.fromkeys(entry["node"] for entry in float_weights(self._path)))


@contextmanager
def prepared(source: Path) -> Iterator[PreparedGraph]:
    """Prepare a fused graph; the file lives as long as the block.

    Without the types of the fused operators' outputs the quantizer gives up.
    """
    with tempfile.TemporaryDirectory(prefix="replank-") as scratch:
        path = Path(scratch) / "prepared.onnx"
        with quiet_logging():  # it logs its guesses and advice; what it did is counted instead
            quant_pre_process(str(source), str(path), skip_optimization=True, skip_symbolic_shape=False)
        yield PreparedGraph(path)


def float_weights(path: Path) -> list[dict[str, Any]]:
    """The weight matrices that a graph keeps in floating point, the largest first.

    :returns: ``{"node", "operator", "shape"}`` of each operator that multiplies or looks up such a matrix.
    """
    graph = onnx.load(str(path)).graph
    shapes = {
        tensor.name: list(tensor.dims)
        for tensor in graph.initializer
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16) and len(tensor.dims) >= 2
    }
    found = [
        {"node": node.name, "operator": node.op_type, "shape": shapes[name]}
        for node in graph.node
        if node.op_type in WEIGHT_OPERATORS
        for name in node.input
        if name in shapes
    ]
    return sorted(found, key=lambda entry: -int(np.prod(entry["shape"])))
