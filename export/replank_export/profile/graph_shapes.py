"""Shapes and types of a graph's tensors at one batch size and length, without running it or reading its weights.

onnx infers shapes for its own operators only. In a temporary copy, ONNX Runtime's operators are replaced by stand-ins
from onnx, whose outputs have the right shape and type.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from replank.system.errors import ModelError
from replank.text.padding import REFERENCE_NAMES

CONTRIB = "com.microsoft"
# Operators whose output has the shape and type of their first input.
_LIKE_INPUT = (
    "BiasAdd",
    "BiasGelu",
    "FastGelu",
    "Gelu",
    "LayerNormalization",
    "MultiHeadAttention",
    "QuickGelu",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
)
_LIKE_MATMUL = ("DynamicQuantizeMatMul",)
_LIKE_STANDARD = ("DequantizeLinear", "QuantizeLinear")
# Operators that graphs compute shapes with.
_SHAPE_ARITHMETIC = (
    *("Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Gather", "Identity", "Mul"),
    *("Range", "ReduceProd", "Reshape", "Shape", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where"),
)
_LONGEST_SHAPE = 64


@dataclass(frozen=True)
class TensorShape:
    """The shape and type of a tensor.

    :param dims: sizes, all positive.
    :param type: an element type of ``onnx.TensorProto``.
    """

    dims: tuple[int, ...]
    type: int


def infer_shapes(model: ModelProto, batch_size: int, length: int) -> dict[str, TensorShape]:
    """The shapes of a graph's tensors.

    :param model: the graph; its external data need not be loaded.
    :returns: shapes by tensor name; tensors whose shape cannot be inferred are left out.
    :raises ModelError: the shape of an input is not ``(batch, length)``.
    """
    weights = {tensor.name: TensorShape(tuple(tensor.dims), tensor.data_type) for tensor in model.graph.initializer}
    graph = GraphProto(name="shapes")
    for value in model.graph.input:
        if value.name not in weights:
            graph.input.append(_fixed(value, batch_size, length))
    for tensor in model.graph.initializer:
        # Small integer tensors are shapes, whose values inference needs; of all others it needs the shape only.
        if tensor.data_type == TensorProto.INT64 and tensor.ByteSize() <= 8 * _LONGEST_SHAPE:
            graph.initializer.append(tensor)
        else:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and weights.keys() >= set(node.input[:2]):
            weights[node.output[0]] = TensorShape(weights[node.input[0]].dims, weights[node.input[1]].type)
        if node.domain == CONTRIB:
            _add_stand_in(graph, node, weights)
        elif node.domain in ("", "ai.onnx"):
            graph.node.append(node)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    shapes = _infer(graph, opset)
    # Each shape that was computed from other shapes may let more shapes be inferred.
    while _fold(graph, opset, shapes):
        shapes |= _infer(graph, opset)
    return weights | shapes


def attention_widths(node: NodeProto, weight: TensorShape) -> tuple[int, int, int]:
    """The widths of query, key and value in a fused Attention with one weight matrix for all three."""
    given = next((entry.ints for entry in node.attribute if entry.name == "qkv_hidden_sizes"), None)
    query, key, value = given or [weight.dims[1] // 3] * 3
    return query, key, value


def _fixed(value: ValueInfoProto, batch_size: int, length: int) -> ValueInfoProto:
    """An input of a graph at one shape; dimensions that the graph fixes itself are kept.

    References are as long as the texts.
    """
    tensor = value.type.tensor_type
    if len(tensor.shape.dim) != 2 and value.name not in REFERENCE_NAMES:
        raise ModelError(
            f"the graph's input {value.name} has {len(tensor.shape.dim)} dimensions",
            hint="expected an encoder's inputs: token ids and masks of shape (batch, length)",
        )
    asked = (batch_size, length, 0)
    dims = [dim.dim_value or size for dim, size in zip(tensor.shape.dim, asked, strict=False)]
    return helper.make_tensor_value_info(value.name, tensor.elem_type, dims)


def _add_stand_in(graph: GraphProto, node: NodeProto, weights: dict[str, TensorShape]) -> None:
    """Add nodes whose output has the shape and type of an operator of ONNX Runtime.

    Nothing is added for an unknown operator: the shapes after it stay unknown.
    """
    inputs, output = list(node.input), node.output[0]
    if node.op_type in _LIKE_INPUT:
        # The fourth output of these norms is the sum that they normalize.
        for name in (output, *(node.output[3:] if "Skip" in node.op_type else ())):
            graph.node.append(helper.make_node("Identity", inputs[:1], [name]))
    elif node.op_type in _LIKE_MATMUL:
        graph.node.append(helper.make_node("MatMul", inputs[:2], [output]))
    elif node.op_type == "MatMulIntegerToFloat":
        # Of the type of the scales, not of the integers.
        kind = weights[inputs[3]].type if inputs[3] in weights else TensorProto.FLOAT
        _add(graph, helper.make_node("MatMul", inputs[:2], [output]), kind)
    elif node.op_type in _LIKE_STANDARD:
        graph.node.append(node)
        graph.node[-1].domain = ""
    elif node.op_type in ("Attention", "QAttention") and inputs[1] in weights:
        weight, projection = weights[inputs[1]], f"{output}/projection"
        dims = weight.dims[0], attention_widths(node, weight)[2]
        graph.input.append(helper.make_tensor_value_info(projection, TensorProto.FLOAT, dims))
        matmul = helper.make_node("MatMul", [inputs[0], projection], [output])
        _add(graph, matmul, weights[inputs[2]].type if node.op_type == "QAttention" else None)
    elif node.op_type in ("EmbedLayerNormalization", "QEmbedLayerNormalization"):
        words = helper.make_node("Gather", [inputs[2], inputs[0]], [output])
        _add(graph, words, weights[inputs[8]].type if node.op_type.startswith("Q") else None)


def _add(graph: GraphProto, node: NodeProto, to: int | None) -> None:
    """Add a node, with a cast of its output if that must be of another type."""
    if to is not None:
        output = node.output[0]
        node.output[0] = f"{output}/uncast"
        graph.node.extend([node, helper.make_node("Cast", node.output, [output], to=to)])
    else:
        graph.node.append(node)


def _infer(graph: GraphProto, opset: int) -> dict[str, TensorShape]:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    values = [(value.name, _shape_of(value)) for value in (*inferred.input, *inferred.value_info)]
    return {name: shape for name, shape in values if shape}


def _fold(graph: GraphProto, opset: int, shapes: dict[str, TensorShape]) -> bool:
    """Replace nodes that compute shapes by constants, where their inputs are known.

    :returns: whether any node was replaced.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    rest = []
    for node in graph.node:
        inputs = [name for name in node.input if name]
        if node.op_type == "Shape" and inputs[0] in shapes:
            # Only the shape of this array is used.
            values: dict[str, NDArray[np.generic]] = {inputs[0]: np.empty(shapes[inputs[0]].dims, dtype=np.bool_)}
        elif node.op_type in _SHAPE_ARITHMETIC and constants.keys() >= set(inputs):
            values = {name: constants[name] for name in inputs}
        else:
            rest.append(node)
            continue
        constants[node.output[0]] = _compute(node, opset, values)
        graph.initializer.append(numpy_helper.from_array(constants[node.output[0]], node.output[0]))
    folded = len(rest) < len(graph.node)
    del graph.node[:]
    graph.node.extend(rest)
    return folded


def _compute(node: NodeProto, opset: int, inputs: dict[str, NDArray[np.generic]]) -> NDArray[np.generic]:
    values = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in inputs]
    result = helper.make_tensor_value_info(node.output[0], TensorProto.UNDEFINED, None)
    evaluator = ReferenceEvaluator(helper.make_graph([node], "shape", values, [result]), opsets={"": opset})
    (value,) = evaluator.run(None, inputs)
    return np.asarray(value)


def _shape_of(value: ValueInfoProto) -> TensorShape | None:
    tensor = value.type.tensor_type
    dims = tuple(dim.dim_value for dim in tensor.shape.dim)
    known = tensor.HasField("shape") and all(dim > 0 for dim in dims)
    return TensorShape(dims, tensor.elem_type) if known else None
