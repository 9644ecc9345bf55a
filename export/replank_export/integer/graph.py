"""The ONNX graph of an encoder in integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from replank.integer.encoder import Attention, Embeddings, IntegerEncoder, Layer, Projection, Residual, Table
from replank.text.padding import INPUT_NAMES
from replank_export.integer.kernels import gelu, layer_norm, requantize, softmax
from replank_export.integer.nodes import Nodes


@dataclass(frozen=True)
class Mask:
    """The attention mask as graphs read it, shape ``(batch, 1, 1, keys)``.

    :param is_token: of type bool.
    :param ones: of type int32.
    """

    is_token: str
    ones: str


def add_encoder(nodes: Nodes, encoder: IntegerEncoder, *, token_type_ids: bool) -> list[str]:
    """Add an encoder to a graph with the inputs of :data:`INPUT_NAMES`.

    :param token_type_ids: whether the graph has that input.
    :returns: the hidden state before each layer and after the last, in 8 bits.
    """
    ids, attention_mask, types = INPUT_NAMES
    hidden = _add_embeddings(nodes, encoder.embeddings, ids, types if token_type_ids else None)
    places = nodes.add("Unsqueeze", attention_mask, nodes.constant([1, 2], "int64"))
    is_token = nodes.add("Not", nodes.add("Equal", places, nodes.constant(0, "int64")))
    mask = Mask(is_token, nodes.cast(is_token, "int32"))
    states = [hidden]
    for index, layer in enumerate(encoder.layers):
        states.append(_add_layer(nodes, layer, states[-1], mask, f"layers.{index}"))
    return states


def _add_embeddings(nodes: Nodes, embeddings: Embeddings, ids: str, types: str | None) -> str:
    total = nodes.add(
        "Add",
        _add_table(nodes, embeddings.words, ids),
        _add_table(nodes, embeddings.positions, _position_ids(nodes, embeddings, ids)),
    )
    if embeddings.token_types and types:
        total = nodes.add("Add", total, _add_table(nodes, embeddings.token_types, types))
    elif embeddings.token_types:  # every token is of the first type
        first = embeddings.token_types(np.zeros((), dtype=np.int64))
        total = nodes.add("Add", total, nodes.constant(first, "int32"))
    total = nodes.clip(total, -embeddings.end, embeddings.end)
    hidden = layer_norm(nodes, total, embeddings.words.rows.shape[1], embeddings.norm, "embeddings")
    if embeddings.projection:
        hidden = _add_projection(nodes, embeddings.projection, hidden, "embeddings.projected")
    return hidden


def _add_table(nodes: Nodes, table: Table, ids: str) -> str:
    rows = nodes.add("Gather", nodes.constant(table.rows, "int8"), ids)
    return requantize(nodes, rows, table.requantizer, "int32")


def _position_ids(nodes: Nodes, embeddings: Embeddings, ids: str) -> str:
    if embeddings.padding_id is None:
        length = nodes.add("Gather", nodes.add("Shape", ids), nodes.constant(1, "int64"))
        return nodes.add("Range", nodes.constant(0, "int64"), length, nodes.constant(1, "int64"))
    padding = nodes.constant(embeddings.padding_id, "int64")
    is_token = nodes.cast(nodes.add("Not", nodes.add("Equal", ids, padding)), "int64")
    count = nodes.add("CumSum", is_token, nodes.constant(1, "int64"))
    return nodes.add("Add", nodes.add("Mul", count, is_token), padding)


def _add_layer(nodes: Nodes, layer: Layer, hidden: str, mask: Mask, name: str) -> str:
    context = _add_attention(nodes, layer.attention, hidden, mask, name)
    attended = _add_residual(nodes, layer.attention_output, context, hidden, f"{name}.attention")
    intermediate = _add_projection(nodes, layer.intermediate, attended, f"{name}.intermediate", "int32", zero_point=0)
    active = gelu(nodes, intermediate, layer.gelu)
    activated = requantize(
        nodes,
        active,
        layer.activated,
        nodes.activation_type,
        zero_point=nodes.zero_point,
        name=f"{name}.gelu",
    )
    return _add_residual(nodes, layer.output, activated, attended, f"{name}.output")


def _add_attention(nodes: Nodes, attention: Attention, hidden: str, mask: Mask, name: str) -> str:
    query = _add_projection(nodes, attention.query, hidden, f"{name}.query")
    key = _add_projection(nodes, attention.key, hidden, f"{name}.key")
    value = _add_projection(nodes, attention.value, hidden, f"{name}.value")
    shape = nodes.constant([0, 0, attention.heads, -1], "int64")
    query = nodes.add("Transpose", nodes.add("Reshape", query, shape), perm=[0, 2, 1, 3])
    key = nodes.add("Transpose", nodes.add("Reshape", key, shape), perm=[0, 2, 3, 1])
    value = nodes.add("Transpose", nodes.add("Reshape", value, shape), perm=[0, 2, 1, 3])
    # Both sides have one type: AVX2 adds up two products of uint8 and int8 in 16 bits, which overflow. Sessions change
    # the type of weights where that is so, but not that of what a graph computes.
    right = nodes.constant(nodes.zero_point, nodes.activation_type)
    scores = _multiply(nodes, query, key, nodes.zero_point, nodes.activation_type, right)
    probabilities = softmax(nodes, scores, mask.is_token, mask.ones, attention.softmax)
    if nodes.target == "cpu":
        sums = _multiply(nodes, nodes.cast(probabilities, "uint8"), value, 0, "uint8", right)
    else:  # 0 to 255 as -128 to 127
        lowered = nodes.cast(nodes.add("Sub", probabilities, nodes.constant(128, "int32")), "int8")
        sums = _multiply(nodes, lowered, value, -128, "int8", right)
    merged = nodes.add("Transpose", sums, perm=[0, 2, 1, 3])
    merged = nodes.add("Reshape", merged, nodes.constant([0, 0, attention.context_width], "int64"))
    return requantize(
        nodes,
        merged,
        attention.context,
        nodes.activation_type,
        zero_point=nodes.zero_point,
        name=f"{name}.context",
    )


def _add_residual(nodes: Nodes, residual: Residual, values: str, around: str, name: str) -> str:
    projected = _add_projection(nodes, residual.projection, values, f"{name}_projection", "int32", zero_point=0)
    branch = requantize(nodes, around, residual.branch, "int32", bias=-nodes.zero_point)
    total = nodes.clip(nodes.add("Add", projected, branch), -residual.end, residual.end)
    return layer_norm(nodes, total, residual.projection.linear.bias.size, residual.norm, name)


def _add_projection(
    nodes: Nodes,
    projection: Projection,
    values: str,
    name: str,
    kind: str | None = None,
    *,
    zero_point: int | None = None,
) -> str:
    """A linear layer and its requantization, by default to what the next linear layer reads."""
    weights = nodes.constant(projection.linear.weights, "int8")
    sums = _multiply(nodes, values, weights, nodes.zero_point, nodes.activation_type)
    return requantize(
        nodes,
        sums,
        projection.requantizer,
        kind or nodes.activation_type,
        bias=projection.linear.bias,
        zero_point=nodes.zero_point if zero_point is None else zero_point,
        name=name,
    )


def _multiply(nodes: Nodes, left: str, right: str, zero_point: int, kind: str, right_zero_point: str = "") -> str:
    """The product of two matrices of 8 bits, in 32.

    :param zero_point: of the left one, whose type is ``kind``.
    :param right_zero_point: a constant; 0 if empty.
    """
    zero_points = (nodes.constant(zero_point, kind), right_zero_point)
    return nodes.add("MatMulInteger", left, right, *(name for name in zero_points if name))
