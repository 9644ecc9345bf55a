"""Linear layers in INT8 whose input has one scale per token, so that no answer depends on its batch.

ONNX Runtime's dynamic INT8 takes one scale over a whole activation: over all texts of a batch and their padding. A
token far larger than the others, which an odd text may bring, rounds everything beside it away. Here each token, a row
of the activation, is quantized by its own largest value, and that row of the result is multiplied by it again.

``MatMulIntegerToFloat`` scales the columns of the result by those of the weights in the same pass as the product;
``MatMulInteger`` would leave that to further passes. Signed activations are many times slower in ONNX Runtime, hence
unsigned ones around a zero point. Figures are in benchmarks/log.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from replank_export.int8.token_scales import ACTIVATIONS, LOWEST

OPSET = 21
"""The oldest opset in which QuantizeLinear takes a scale per row of any tensor, as blocks of a row's size."""
_CONTRIB = "com.microsoft"


def quantize_by_token(model: onnx.ModelProto, keep: Collection[str], *, per_channel: bool, reduce_range: bool) -> None:
    """Rewrite the linear layers of an fp32 graph in place.

    :param model: with inferred shapes, opset :data:`OPSET` or newer.
    :param keep: names of nodes that stay in floating point.
    :param per_channel: one scale per column of a weight matrix, instead of one for the whole matrix.
    :param reduce_range: quantize weights to 7 bits.
    """
    _Rewriting(model.graph, 64 if reduce_range else 127, per_channel=per_channel).run(keep)


@dataclass(frozen=True)
class _Range:
    """The integers that the values of a token become: ``value / scale + zero_point``, 0 to 255.

    :param zero_point: the integer of zero.
    :param floor: the smallest scale.
    """

    zero_point: int
    floor: float = 0.0

    @property
    def largest(self) -> int:
        """The integer above zero that a token's largest value becomes."""
        return 255 - self.zero_point


_SYMMETRIC = _Range(128)
# After an activation nearly all values are positive; with this floor the others always fit below the zero point.
_POSITIVE = _Range(37, -LOWEST / 37)


@dataclass(frozen=True)
class _Input:
    """A quantized activation: the names of its integers and of the scale of each row."""

    integers: str
    scales: str
    range: _Range


class _Rewriting:
    """One graph while its linear layers are rewritten.

    :param largest: the largest integer of a weight.
    """

    def __init__(self, graph: onnx.GraphProto, largest: int, *, per_channel: bool) -> None:
        self._graph, self._largest, self._per_channel = graph, largest, per_channel
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._activated = {node.output[0] for node in graph.node if node.op_type in ACTIVATIONS}
        self._rows = {info.name: _rows(info) for info in (*graph.value_info, *graph.input)}
        self._weights: dict[tuple[str, bool], tuple[str, str]] = {}
        self._inputs: dict[str, _Input] = {}
        self._zero_points: dict[tuple[_Range, tuple[str | int, ...]], str] = {}

    def run(self, keep: Collection[str]) -> None:
        """Rewrite the nodes, and drop the weights that none of them uses any more."""
        nodes: list[NodeProto] = []
        for node in self._graph.node:
            nodes += [node] if node.name in keep or not self._is_linear(node) else self._linear(node)
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        used = {name for node in nodes for name in node.input}
        tensors = [tensor for name, tensor in self._tensors.items() if name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(tensors)

    def _is_linear(self, node: NodeProto) -> bool:
        """Whether a node multiplies rows by a weight matrix, and does nothing else but add a bias."""
        if node.op_type not in ("MatMul", "Gemm"):
            return False
        weights = self._tensors.get(node.input[1])
        settings = _settings(node)
        return (
            weights is not None
            and len(weights.dims) == 2
            and weights.data_type == onnx.TensorProto.FLOAT
            and not settings.get("transA", 0)
            and settings.get("alpha", 1.0) == settings.get("beta", 1.0) == 1.0
        )

    def _linear(self, node: NodeProto) -> Iterator[NodeProto]:
        hidden, weights, *bias = node.input
        name, result = node.name, node.output[0]
        matrix, columns = self._quantized_weights(weights, is_transposed=bool(_settings(node).get("transB", 0)))
        if hidden not in self._inputs:
            yield from self._quantize(hidden, self._tensors[matrix].dims[0], name)
        rows = self._inputs[hidden]
        one = self._constant("by_token_one", np.float32(1))
        zero_point = self._constant(f"by_token_zero_{rows.range.zero_point}", np.uint8(rows.range.zero_point))
        product, scaled = f"{name}_product", f"{name}_scaled" if bias else result
        inputs = [rows.integers, matrix, one, columns, zero_point]
        yield helper.make_node("MatMulIntegerToFloat", inputs, [product], name=name, domain=_CONTRIB)
        yield helper.make_node("Mul", [product, rows.scales], [scaled], name=f"{name}_scaled")
        if bias:
            yield helper.make_node("Add", [scaled, *bias], [result], name=f"{name}_biased")

    def _quantized_weights(self, name: str, *, is_transposed: bool) -> tuple[str, str]:
        """The names of a matrix's integers and of the scale of each column; layers may share a matrix."""
        if (name, is_transposed) not in self._weights:
            values = numpy_helper.to_array(self._tensors[name])
            values = values.T if is_transposed else values
            highest = np.abs(values).max(axis=0 if self._per_channel else None)
            # A column of zeros has no scale; any will do.
            scales = np.where(highest > 0, highest / self._largest, 1).astype(np.float32)
            label = f"{name}_{'transposed_' if is_transposed else ''}"
            self._weights[name, is_transposed] = (
                self._constant(f"{label}int8", np.rint(values / scales).astype(np.int8)),
                self._constant(f"{label}scale", scales),
            )
        return self._weights[name, is_transposed]

    def _quantize(self, hidden: str, size: int, name: str) -> Iterator[NodeProto]:
        """Nodes that quantize an activation, whose rows have ``size`` values.

        The scale of a row of zeros is zero: whatever integers the division gives, they are multiplied by zero again.
        """
        scope, axis = f"{name}_input", self._constant("by_token_axis", np.array([-1]))
        values, largest, scales = _SYMMETRIC, f"{scope}_largest", f"{scope}_scales"
        magnitudes, integers = f"{scope}_magnitudes", f"{scope}_integers"
        if hidden in self._activated:
            values, magnitudes = _POSITIVE, hidden
        else:
            yield helper.make_node("Abs", [hidden], [magnitudes], name=magnitudes)
        yield helper.make_node("ReduceMax", [magnitudes, axis], [largest], name=largest, keepdims=1)
        step = self._constant(f"by_token_step_{values.largest}", np.float32(1 / values.largest))
        raw = f"{scope}_unbounded" if values.floor else scales
        yield helper.make_node("Mul", [largest, step], [raw], name=raw)
        if values.floor:
            floor = self._constant("by_token_floor", np.float32(values.floor))
            yield helper.make_node("Clip", [raw, floor], [scales], name=scales)
        # Tensors of the same rows share their zero points.
        key = (values, self._rows.get(hidden) or (scope,))
        if key not in self._zero_points:
            self._zero_points[key], shape = f"{scope}_zero_points", f"{scope}_shape"
            zero = numpy_helper.from_array(np.array([values.zero_point], np.uint8))
            yield helper.make_node("Shape", [scales], [shape], name=shape)
            filled = self._zero_points[key]
            yield helper.make_node("ConstantOfShape", [shape], [filled], name=filled, value=zero)
        inputs = [hidden, scales, self._zero_points[key]]
        yield helper.make_node("QuantizeLinear", inputs, [integers], name=integers, axis=-1, block_size=size)
        self._inputs[hidden] = _Input(integers, scales, values)

    def _constant(self, name: str, values: NDArray[np.generic] | np.generic) -> str:
        if name not in self._tensors:
            self._tensors[name] = numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values)), name)
        return name


def _rows(info: onnx.ValueInfoProto) -> tuple[str | int, ...]:
    """The dimensions of a tensor without the last, and that it has so many; nothing where one is unknown."""
    dims = [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]
    return tuple(dims[:-1]) if all(dims) else ()


def _settings(node: NodeProto) -> dict[str, float | int]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
