"""FLOPs of an ONNX graph at one input shape: every MatMul, whichever operator computes it, with its precision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import prod
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, helper

from replank_export.profile.flops import ForwardPass, MatMul, Weight
from replank_export.profile.graph_shapes import CONTRIB, attention_widths, infer_shapes

_PRECISIONS: dict[int, str] = {
    TensorProto.DOUBLE: "fp64",
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8",
}
_INTEGER_MATMULS = ("MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QLinearMatMul")
_LOOK_UPS = {"Gather": 1, "EmbedLayerNormalization": 5, "QEmbedLayerNormalization": 5}
# Operators that multiply matrices and are rare in encoders: their number is reported, their FLOPs are not counted.
_UNCOUNTED = (
    *("Conv", "Einsum", "FusedGemm", "FusedMatMul", "GroupQueryAttention", "MatMulNBits"),
    *("PackedAttention", "PackedMultiHeadAttention", "QGemm"),
)
# Operators that change the shape of a tensor only.
_VIEWS = ("Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_CONVERSIONS = ("Cast", "DequantizeLinear", "QuantizeLinear")
# The endings of the quantizer's names for tensors that are not weights.
_QUANTIZATION_SUFFIXES = ("_scale", "_zero_point")


def graph_flops(model: ModelProto, file_bytes: int, batch_size: int, length: int) -> ForwardPass:
    """The forward pass of a graph.

    :param model: the graph; its external data need not be loaded.
    :param file_bytes: size of its files.
    :param length: tokens per text.
    :raises ModelError: its inputs are not those of an encoder.
    """
    return _Counter(model, batch_size, length).forward_pass(file_bytes)


class _Counter:
    def __init__(self, model: ModelProto, batch_size: int, length: int) -> None:
        self._batch_size, self._length = batch_size, length
        self._nodes = model.graph.node
        self._shapes = infer_shapes(model, batch_size, length)
        self._tensors: dict[str, TensorProto] = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers = {output: node for node in model.graph.node for output in node.output}

    def forward_pass(self, file_bytes: int) -> ForwardPass:
        matmuls: list[MatMul] = []
        uncounted: Counter[str] = Counter()
        count: dict[str, Callable[[NodeProto], list[MatMul]]] = dict.fromkeys(
            ("MatMul", "Gemm", *_INTEGER_MATMULS), self._matmul
        )
        count |= {"QAttention": self._packed_attention, "MultiHeadAttention": self._attention}
        for node in self._nodes:
            counting = count.get(node.op_type)
            if node.op_type == "Attention":
                counting = self._packed_attention if node.domain == CONTRIB else self._attention
            try:
                matmuls += counting(node) if counting else []
            except (IndexError, KeyError):  # an unknown shape, or an optional input that is absent
                uncounted[node.op_type] += 1
            if node.op_type in _UNCOUNTED or node.domain not in ("", "ai.onnx", CONTRIB):
                uncounted[node.op_type] += 1
        return ForwardPass(
            self._batch_size,
            self._length,
            file_bytes,
            tuple(matmuls),
            self._weights(),
            dict(sorted(uncounted.items())),
        )

    def _weights(self) -> tuple[Weight, ...]:
        tables = {
            tensor.name
            for node in self._nodes
            for name in node.input[: _LOOK_UPS.get(node.op_type, 0)]
            if (tensor := self._weight_behind(name)) is not None and len(tensor.dims) >= 2
        }
        return tuple(
            Weight(
                name=tensor.name,
                precision=_PRECISIONS[tensor.data_type],
                shape=tuple(tensor.dims),
                bytes=prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize,
                is_table=tensor.name in tables,
            )
            for tensor in self._tensors.values()
            if tensor.data_type in _PRECISIONS and tensor.dims and not tensor.name.endswith(_QUANTIZATION_SUFFIXES)
        )

    def _matmul(self, node: NodeProto) -> list[MatMul]:
        # In QLinearMatMul the scale and the zero point of each operand follow it.
        sides = (node.input[0], node.input[3 if node.op_type == "QLinearMatMul" else 1])
        left, right, output = (self._shapes[name].dims for name in (*sides, node.output[0]))
        inner = left[0] if node.op_type == "Gemm" and _attribute(node, "transA", 0) else left[-1]
        has_weight = any(self._weight_behind(name) is not None for name in sides)
        # One matrix on the right is multiplied with all rows; of a stack, each with its own.
        repeats = prod(output[:-2]) if len(right) > 2 else 1
        rows = prod(output[:-1]) // repeats
        return [self._entry(node, self._precision(node), rows, inner, output[-1], repeats, has_weight)]

    def _packed_attention(self, node: NodeProto) -> list[MatMul]:
        """ONNX Runtime's Attention: one MatMul for query, key and value, then scores and weighted values.

        QAttention computes only the first in INT8.
        """
        batch_size, length, inner = self._shapes[node.input[0]].dims
        query, key, value = attention_widths(node, self._shapes[node.input[1]])
        # After the first MatMul, QAttention computes in the type of its bias.
        is_int8 = node.op_type == "QAttention"
        precision = _PRECISIONS[self._shapes[node.input[2 if is_int8 else 0]].type]
        projection = "int8" if is_int8 else precision
        heads = int(_attribute(node, "num_heads", 1))
        repeats = batch_size * heads
        return [
            self._entry(node, projection, batch_size * length, inner, query + key + value),
            self._entry(node, precision, length, query // heads, length, repeats, has_weight=False),
            self._entry(node, precision, length, length, value // heads, repeats, has_weight=False),
        ]

    def _attention(self, node: NodeProto) -> list[MatMul]:
        """MultiHeadAttention and onnx's own Attention: the inputs are query, key and value.

        Their heads are a dimension of their own, or side by side in the last one.
        """
        query, keys = self._shapes[node.input[0]], self._shapes[node.input[1]]
        output = self._shapes[node.output[0]]
        length, columns, precision = query.dims[-2], keys.dims[-2], _PRECISIONS[query.type]
        heads = _attribute(node, "num_heads", _attribute(node, "q_num_heads", 1))
        repeats = query.dims[0] * (query.dims[1] if len(query.dims) == 4 else int(heads))
        width, value_width = (prod(shape.dims) // (repeats * length) for shape in (query, output))
        return [
            self._entry(node, precision, length, width, columns, repeats, has_weight=False),
            self._entry(node, precision, length, columns, value_width, repeats, has_weight=False),
        ]

    def _entry(
        self,
        node: NodeProto,
        precision: str,
        rows: int,
        inner: int,
        columns: int,
        repeats: int = 1,
        has_weight: bool = True,
    ) -> MatMul:
        return MatMul(node.name, node.op_type, precision, rows, inner, columns, repeats, has_weight)

    def _precision(self, node: NodeProto) -> str:
        """The precision of a MatMul; in QDQ format it is INT8 if both operands are dequantized from 8 bits."""
        if node.op_type in _INTEGER_MATMULS or all(self._is_dequantized(name) for name in node.input[:2]):
            return "int8"
        return _PRECISIONS[self._shapes[node.input[0]].type]

    def _is_dequantized(self, name: str) -> bool:
        node = self._producers.get(name)
        while node is not None and node.op_type in _VIEWS:
            node = self._producers.get(node.input[0])
        if node is None or node.op_type != "DequantizeLinear":
            return False
        return self._shapes[node.input[0]].type in (TensorProto.INT8, TensorProto.UINT8)

    def _weight_behind(self, name: str) -> TensorProto | None:
        """The tensor in the file that a value is a view or a conversion of; ``None`` if it is an activation."""
        while name not in self._tensors:
            node = self._producers.get(name)
            if node is None or node.op_type not in (*_VIEWS, *_CONVERSIONS):
                return None
            name = node.input[0]
        return self._tensors[name]


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name), default)
