"""Shapes and types of the tensors of a graph at one batch size and length, without running it or reading its weights.

onnx follows shapes through its own operators only. In a copy that is thrown away, ONNX Runtime's have stand-ins of
onnx's: all that counts there is that the output has the right shape and type.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from replank.system.errors import ModelError

CONTRIB = "com.microsoft"
# Operators whose output looks like their first input.
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
_LIKE_MATMUL = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")
_LIKE_STANDARD = ("DequantizeLinear", "QuantizeLinear")
# What graphs compute the shapes of their tensors with.
_SHAPE_ARITHMETIC = (
    *("Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Gather", "Identity", "Mul"),
    *("Range", "ReduceProd", "Reshape", "Shape", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where"),
)
_LONGEST_SHAPE = 64


@dataclass(frozen=True)
class TensorShape:
    """What is known of a tensor.

    :param dims: all positive.
    :param type: one of ``onnx.TensorProto``'s.
    """

    dims: tuple[int, ...]
    type: int


def infer_shapes(model: ModelProto, batch_size: int, length: int) -> dict[str, TensorShape]:
    """Follow shapes from the inputs through the graph.

    :param model: its weights need not be read.
    :returns: by tensor name; a tensor that cannot be followed is left out.
    :raises ModelError: an input's shape is not ``(batch, length)``.
    """
    weights = {tensor.name: TensorShape(tuple(tensor.dims), tensor.data_type) for tensor in model.graph.initializer}
    graph = GraphProto(name="shapes")
    for value in model.graph.input:
        if value.name not in weights:
            graph.input.append(_fixed(value, batch_size, length))
    for tensor in model.graph.initializer:
        # Small integers are shapes, which inference computes with; of all else the shape is enough.
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
    # A shape that was computed from shapes makes more shapes known.
    while _fold(graph, opset, shapes):
        shapes |= _infer(graph, opset)
    return weights | shapes


def attention_widths(node: NodeProto, weight: TensorShape) -> tuple[int, int, int]:
    """How wide query, key and value are in a fused Attention with one weight matrix for all three."""
    given = next((entry.ints for entry in node.attribute if entry.name == "qkv_hidden_sizes"), None)
    query, key, value = given or [weight.dims[1] // 3] * 3
    return query, key, value


def _fixed(value: ValueInfoProto, batch_size: int, length: int) -> ValueInfoProto:
    """A graph's input at one shape; what the graph itself has fixed stays as it is."""
    tensor = value.type.tensor_type
    if len(tensor.shape.dim) != 2:
        raise ModelError(
            f"the graph's input {value.name} has {len(tensor.shape.dim)} dimensions",
            hint="expected an encoder's inputs: token ids and masks of shape (batch, length)",
        )
    dims = [dim.dim_value or asked for dim, asked in zip(tensor.shape.dim, (batch_size, length), strict=True)]
    return helper.make_tensor_value_info(value.name, tensor.elem_type, dims)


def _add_stand_in(graph: GraphProto, node: NodeProto, weights: dict[str, TensorShape]) -> None:
    """Add what gives a tensor of the shape and type that one of ONNX Runtime's operators gives.

    Nothing for an operator that is not known here: whatever follows it stays unknown.
    """
    inputs, output = list(node.input), node.output[0]
    if node.op_type in _LIKE_INPUT:
        # The fourth output of these norms is the sum that they norm.
        for name in (output, *(node.output[3:] if "Skip" in node.op_type else ())):
            graph.node.append(helper.make_node("Identity", inputs[:1], [name]))
    elif node.op_type in _LIKE_MATMUL:
        graph.node.append(helper.make_node("MatMul", inputs[:2], [output]))
    elif node.op_type in _LIKE_STANDARD:
        graph.node.append(node)
        graph.node[-1].domain = ""
    elif node.op_type in ("Attention", "QAttention") and inputs[1] in weights:
        weight, projection = weights[inputs[1]], f"{output}/projection"
        dims = weight.dims[0], attention_widths(node, weight)[2]
        graph.input.append(helper.make_tensor_value_info(projection, TensorProto.FLOAT, dims))
        product = helper.make_node("MatMul", [inputs[0], projection], [output])
        _add(graph, product, weights[inputs[2]].type if node.op_type == "QAttention" else None)
    elif node.op_type in ("EmbedLayerNormalization", "QEmbedLayerNormalization"):
        words = helper.make_node("Gather", [inputs[2], inputs[0]], [output])
        _add(graph, words, weights[inputs[8]].type if node.op_type.startswith("Q") else None)


def _add(graph: GraphProto, node: NodeProto, to: int | None) -> None:
    """Add a node whose output may have to be of another type than its operator gives it."""
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
    """Put constants in the place of nodes that compute shapes, as far as they can be computed by now.

    :returns: whether there were any.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    rest = []
    for node in graph.node:
        inputs = [name for name in node.input if name]
        if node.op_type == "Shape" and inputs[0] in shapes:
            # Only its shape is asked for.
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
