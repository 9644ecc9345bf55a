"""Decomposition of fused operators where INT8 on the CPU is faster with the parts than with the whole.

Fusion serves fp32. In INT8 the fused operators stand in the way (figures in benchmarks/log.md):

- ``SkipLayerNormalization`` is not vectorized; an addition and a ``LayerNormalization`` are. This is what is gained.
- ``Attention`` holds the product of queries, keys and values. Its INT8 form takes no bias of positions, and its product
  cannot stay in floating point by itself. As a matrix product of its own it can do both, at the same speed.
- ``BiasGelu`` adds a bias that the INT8 product before it adds for nothing, and computes an error function, of which
  INT8 cannot tell its approximation by a hyperbolic tangent (1e-3 at most, Hendrycks and Gimpel 2016).
- ``EmbedLayerNormalization`` quantizes its norm with its tables, and only ONNX Runtime's CPU provider runs that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx
from onnx import NodeProto, helper

_CONTRIB = "com.microsoft"


def decompose_for_int8(model: onnx.ModelProto) -> None:
    """Rewrite a graph in its place; the numbers are the same but for the order of additions."""
    linear = {node.output[0] for node in model.graph.node if node.op_type == "MatMul"}
    nodes: list[NodeProto] = []
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
        nodes += DECOMPOSERS.get(node.op_type, _as_it_is)(node, linear)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    # Types and shapes of before would contradict what is there now.
    del model.graph.value_info[:]


def _as_it_is(node: NodeProto, _linear: set[str]) -> Iterator[NodeProto]:
    yield node


def _decompose_attention(node: NodeProto, _linear: set[str]) -> Iterator[NodeProto]:
    """``Attention(x, weights, bias, mask, past, attention_bias)``, all heads' weights side by side: Q, K, V."""
    settings = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    hidden, weights, bias, mask, past, attention_bias = _inputs(node, 6)
    sizes = settings.pop("qkv_hidden_sizes", None)
    if past or settings.pop("unidirectional", 0) or (sizes and len(set(sizes)) > 1):
        yield node  # no encoder of ours; it stays in floating point and is listed
        return
    settings = {name: value for name, value in settings.items() if name in ("num_heads", "mask_filter_value", "scale")}
    product, joined = f"{node.name}_product", f"{node.name}_joined"
    parts = [f"{node.name}_{part}" for part in ("query", "key", "value")]
    yield helper.make_node("MatMul", [hidden, weights], [product], name=product)
    yield helper.make_node("Add", [product, bias], [joined], name=joined)
    yield helper.make_node("Split", [joined], parts, name=f"{node.name}_split", axis=-1, num_outputs=3)
    inputs = [*parts, "", mask, attention_bias]
    yield helper.make_node("MultiHeadAttention", inputs, node.output[:1], name=node.name, domain=_CONTRIB, **settings)


def _decompose_norm(node: NodeProto, linear: set[str]) -> Iterator[NodeProto]:
    """``SkipLayerNormalization(x, skip, gamma, beta, bias)``; the bias is that of the product among the first two."""
    hidden, skip, gamma, beta, bias = _inputs(node, 5)
    if len(node.output) > 1:
        yield node
        return
    epsilon = next(attribute.f for attribute in node.attribute if attribute.name == "epsilon")
    if bias:
        biased = f"{node.name}_biased"
        hidden, skip = (hidden, skip) if skip in linear else (skip, hidden)
        yield helper.make_node("Add", [skip, bias], [biased], name=biased)
        skip = biased
    # Not an Add, of which the session would make a SkipLayerNormalization again.
    total = f"{node.name}_sum"
    yield helper.make_node("Sum", [hidden, skip], [total], name=total)
    yield helper.make_node("LayerNormalization", [total, gamma, beta], node.output, name=node.name, epsilon=epsilon)


def _decompose_embeddings(node: NodeProto, _linear: set[str]) -> Iterator[NodeProto]:
    """``EmbedLayerNormalization(ids, segments, words, positions, segment table, gamma, beta, mask, position ids)``."""
    ids, segments, words, positions, segment_table, gamma, beta, mask, position_ids = _inputs(node, 9)
    if mask or position_ids or len(node.output) > 2:
        yield node
        return
    name = node.name
    epsilon = next(attribute.f for attribute in node.attribute if attribute.name == "epsilon")
    zero, one = f"{name}_zero", f"{name}_one"
    for constant, value in ((zero, 0), (one, 1)):
        tensor = helper.make_tensor(constant, onnx.TensorProto.INT64, (), [value])
        yield helper.make_node("Constant", [], [constant], name=constant, value=tensor)
    length, places = f"{name}_length", f"{name}_places"
    yield helper.make_node("Shape", [ids], [f"{name}_shape"], name=f"{name}_shape")
    yield helper.make_node("Gather", [f"{name}_shape", one], [length], name=length)
    yield helper.make_node("Range", [zero, length, one], [places], name=places)
    looked_up = [(words, ids), (positions, places), *([(segment_table, segments)] if segments else [])]
    parts = [f"{name}_{part}" for part in ("words", "positions", "segments")[: len(looked_up)]]
    for part, (table, indices) in zip(parts, looked_up, strict=True):
        yield helper.make_node("Gather", [table, indices], [part], name=part)
    yield helper.make_node("Sum", parts, [f"{name}_sum"], name=f"{name}_sum")
    norm = [f"{name}_sum", gamma, beta]
    yield helper.make_node("LayerNormalization", norm, node.output[:1], name=name, epsilon=epsilon)


def _decompose_gelu(node: NodeProto, _linear: set[str]) -> Iterator[NodeProto]:
    biased = f"{node.name}_biased"
    yield helper.make_node("Add", node.input, [biased], name=biased)
    yield helper.make_node("FastGelu", [biased], node.output, name=node.name, domain=_CONTRIB)


def _inputs(node: NodeProto, count: int) -> list[str]:
    """As many inputs as the operator can have; an absent one is an empty name."""
    given = list(node.input)[:count]
    return given + [""] * (count - len(given))


DECOMPOSERS: dict[str, Callable[[NodeProto, set[str]], Iterator[NodeProto]]] = {
    "Attention": _decompose_attention,
    "SkipLayerNormalization": _decompose_norm,
    "BiasGelu": _decompose_gelu,
    "EmbedLayerNormalization": _decompose_embeddings,
}
