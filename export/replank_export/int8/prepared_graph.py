"""Graphs prepared for quantization: each linear layer is quantized, or kept in floating point by name."""

from __future__ import annotations

import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from replank.models.int8_facts import FloatWeights
from replank.system.errors import ModelError
from replank.system.quiet import quiet_logging
from replank_export.graph_files import is_large, save_graph
from replank_export.int8.decompose import decompose_for_int8

# Operators that multiply by a weight matrix, and operators that look up its rows.
LINEAR_OPERATORS = ("MatMul", "Gemm", "Attention")
TABLES = ("EmbedLayerNormalization", "Gather")


class PreparedGraph(ABC):
    """An fp32 graph, ready to be quantized any number of times.

    :param path: the prepared file.
    :param per_channel: one scale per column of a weight matrix, instead of one for the whole matrix.
    :param reduce_range: quantize weights to 7 bits.
    """

    def __init__(self, path: Path, *, per_channel: bool, reduce_range: bool) -> None:
        self._path, self._per_channel, self._reduce_range = path, per_channel, reduce_range
        self._is_large = is_large(path)

    def write(self, target: Path, keep: Sequence[str] = ()) -> None:
        """Write the graph in INT8.

        :param keep: names of nodes that stay in floating point.
        """
        # A matrix for each head, as DeBERTa's positions are: ONNX Runtime has no INT8 kernel that takes them.
        stacks = [entry.node for entry in float_weights(self._path) if len(entry.shape) > 2]
        with quiet_logging():  # ONNX Runtime logs guesses and advice; the result is checked instead
            self._write(target, [*keep, *stacks])

    @property
    def linear_layers(self) -> list[str]:
        """Names of the nodes with a weight matrix, which can be kept in floating point."""
        return list(dict.fromkeys(entry.node for entry in float_weights(self._path) if len(entry.shape) == 2))

    @abstractmethod
    def _write(self, target: Path, keep: Sequence[str]) -> None: ...

    def _quantize_weights(self, source: Path, target: Path, keep: Sequence[str], operators: Sequence[str]) -> None:
        quantize_dynamic(
            str(source),
            str(target),
            op_types_to_quantize=list(operators),
            per_channel=self._per_channel,
            reduce_range=self._reduce_range,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(keep),
            use_external_data_format=self._is_large,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
        )


@contextmanager
def prepared_file(source: Path) -> Iterator[Path]:
    """A graph rewritten for quantization, with inferred shapes; the file exists until the block ends.

    :raises ModelError: the shapes in the graph cannot be inferred.
    """
    with tempfile.TemporaryDirectory(prefix="replank-") as scratch:
        decomposed, path = Path(scratch) / "decomposed.onnx", Path(scratch) / "prepared.onnx"
        model = onnx.load(str(source))
        decompose_for_int8(model)
        save_graph(model, decomposed)
        # On failure ONNX Runtime leaves a file in the working directory; and it logs guesses and advice.
        with quiet_logging(), chdir(scratch):
            try:
                # Without the types of the fused operators' outputs the quantizer gives up.
                quant_pre_process(
                    str(decomposed),
                    str(path),
                    skip_optimization=True,
                    auto_merge=True,  # other exporters name the axes of each input differently
                    save_as_external_data=is_large(decomposed),
                )
            except Exception as error:  # ONNX Runtime raises bare Exceptions
                raise ModelError(
                    f"the shapes in {source} cannot be inferred: {error}", hint="make the graph with replank export"
                ) from error
        yield path


def float_weights(path: Path) -> tuple[FloatWeights, ...]:
    """The weight matrices that a graph keeps in floating point, largest first.

    :returns: one for each operator that multiplies by such a matrix or looks up its rows.
    """
    graph = onnx.load(str(path), load_external_data=False).graph
    shapes = {
        tensor.name: tuple(tensor.dims)
        for tensor in graph.initializer
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16) and len(tensor.dims) >= 2
    }
    found = [
        FloatWeights(node.name, node.op_type, shapes[name])
        for node in graph.node
        if node.op_type in (*LINEAR_OPERATORS, *TABLES)
        for name in node.input
        if name in shapes
    ]
    return tuple(sorted(found, key=lambda entry: -math.prod(entry.shape)))
