"""The work of an ONNX graph at one shape: every matrix product, whatever operator does it, and its precision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import prod
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, helper

from replank_export.profile.flops import Product, Weight, Work
from replank_export.profile.graph_shapes import CONTRIB, attention_widths, infer_shapes

_PRECISIONS: dict[int, str] = {
    TensorProto.DOUBLE: "fp64",
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8",
}
_INTEGER_PRODUCTS = ("MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QLinearMatMul")
_LOOK_UPS = {"Gather": 1, "EmbedLayerNormalization": 5, "QEmbedLayerNormalization": 5}
# Operators with products that are rare in encoders; their number is told instead.
_UNCOUNTED = (
    *("Conv", "Einsum", "FusedGemm", "FusedMatMul", "GroupQueryAttention", "MatMulNBits"),
    *("PackedAttention", "PackedMultiHeadAttention", "QGemm"),
)
# What a tensor passes through unchanged, but for its shape.
_VIEWS = ("Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_CONVERSIONS = ("Cast", "DequantizeLinear", "QuantizeLinear")
# The quantizer's own names of what is no weight.
_QUANTIZATION_SUFFIXES = ("_scale", "_zero_point")


def graph_work(model: ModelProto, file_bytes: int, batch_size: int, length: int) -> Work:
    """Count a graph's work.

    :param model: its weights need not be read.
    :param file_bytes: size of its files.
    :raises ModelError: its inputs are not an encoder's.
    """
    return _Counter(model, batch_size, length).work(file_bytes)


class _Counter:
    def __init__(self, model: ModelProto, batch_size: int, length: int) -> None:
        self._batch_size, self._length = batch_size, length
        self._nodes = model.graph.node
        self._shapes = infer_shapes(model, batch_size, length)
        self._tensors: dict[str, TensorProto] = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers = {output: node for node in model.graph.node for output in node.output}

    def work(self, file_bytes: int) -> Work:
        products: list[Product] = []
        uncounted: Counter[str] = Counter()
        count: dict[str, Callable[[NodeProto], list[Product]]] = dict.fromkeys(
            ("MatMul", "Gemm", *_INTEGER_PRODUCTS), self._matmul
        )
        count |= {"QAttention": self._packed_attention, "MultiHeadAttention": self._attention}
        for node in self._nodes:
            counting = count.get(node.op_type)
            if node.op_type == "Attention":
                counting = self._packed_attention if node.domain == CONTRIB else self._attention
            try:
                products += counting(node) if counting else []
            except (IndexError, KeyError):  # a shape that could not be followed, an input that is left out
                uncounted[node.op_type] += 1
            if node.op_type in _UNCOUNTED or node.domain not in ("", "ai.onnx", CONTRIB):
                uncounted[node.op_type] += 1
        return Work(
            self._batch_size,
            self._length,
            file_bytes,
            tuple(products),
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

    def _matmul(self, node: NodeProto) -> list[Product]:
        # QLinearMatMul has the scale and the zero point of each side behind it.
        sides = (node.input[0], node.input[3 if node.op_type == "QLinearMatMul" else 1])
        left, right, output = (self._shapes[name].dims for name in (*sides, node.output[0]))
        inner = left[0] if node.op_type == "Gemm" and _attribute(node, "transA", 0) else left[-1]
        has_weight = any(self._weight_behind(name) is not None for name in sides)
        # A matrix on the right serves all rows at once, each of a stack of them its own.
        repeats = prod(output[:-2]) if len(right) > 2 else 1
        rows = prod(output[:-1]) // repeats
        return [self._product(node, self._precision(node), rows, inner, output[-1], repeats, has_weight)]

    def _packed_attention(self, node: NodeProto) -> list[Product]:
        """ONNX Runtime's Attention: one product to query, key and value, then attention itself.

        Of QAttention only the first is done in INT8.
        """
        batch_size, length, inner = self._shapes[node.input[0]].dims
        query, key, value = attention_widths(node, self._shapes[node.input[1]])
        # QAttention's bias is of the type that it goes on in.
        is_int8 = node.op_type == "QAttention"
        precision = _PRECISIONS[self._shapes[node.input[2 if is_int8 else 0]].type]
        projection = "int8" if is_int8 else precision
        heads = int(_attribute(node, "num_heads", 1))
        repeats = batch_size * heads
        return [
            self._product(node, projection, batch_size * length, inner, query + key + value),
            self._product(node, precision, length, query // heads, length, repeats, has_weight=False),
            self._product(node, precision, length, length, value // heads, repeats, has_weight=False),
        ]

    def _attention(self, node: NodeProto) -> list[Product]:
        """MultiHeadAttention, and onnx's own Attention: query, key and value come in, with heads apart or together."""
        query, keys = self._shapes[node.input[0]], self._shapes[node.input[1]]
        output = self._shapes[node.output[0]]
        length, columns, precision = query.dims[-2], keys.dims[-2], _PRECISIONS[query.type]
        together = _attribute(node, "num_heads", _attribute(node, "q_num_heads", 1))
        repeats = query.dims[0] * (query.dims[1] if len(query.dims) == 4 else int(together))
        width, value_width = (prod(shape.dims) // (repeats * length) for shape in (query, output))
        return [
            self._product(node, precision, length, width, columns, repeats, has_weight=False),
            self._product(node, precision, length, columns, value_width, repeats, has_weight=False),
        ]

    def _product(
        self,
        node: NodeProto,
        precision: str,
        rows: int,
        inner: int,
        columns: int,
        repeats: int = 1,
        has_weight: bool = True,
    ) -> Product:
        return Product(node.name, node.op_type, precision, rows, inner, columns, repeats, has_weight)

    def _precision(self, node: NodeProto) -> str:
        """Of a graph in QDQ form a product is INT8 where both sides come from eight bits."""
        if node.op_type in _INTEGER_PRODUCTS or all(self._is_dequantized(name) for name in node.input[:2]):
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
        """The tensor of the file that a value is made of alone, if there is one."""
        while name not in self._tensors:
            node = self._producers.get(name)
            if node is None or node.op_type not in (*_VIEWS, *_CONVERSIONS):
                return None
            name = node.input[0]
        return self._tensors[name]


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name), default)
