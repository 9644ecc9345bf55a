"""Decomposition of fused operators whose parts run faster in INT8 on the CPU.

Fusion pays in fp32. In INT8 some fused operators are slower than their parts (figures in benchmarks/log.md):

- ``SkipLayerNormalization`` is not vectorized; an addition and a ``LayerNormalization`` are. This is the main gain.
- ``Attention`` contains the projection to queries, keys and values. Its INT8 form takes no bias of positions, and its
  projection cannot stay in floating point alone. As MatMuls of their own they can do both; three of them spare the pass
  that splits the result of one.
- ``BiasGelu`` adds a bias that the INT8 MatMul before it adds for free, and computes an error function, which INT8
  cannot distinguish from its tanh approximation (an error of at most 1e-3, Hendrycks and Gimpel 2016).
- ``EmbedLayerNormalization`` quantizes its norm with its tables, and only ONNX Runtime's CPU provider runs that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

_CONTRIB = "com.microsoft"


def decompose_for_int8(model: onnx.ModelProto) -> None:
    """Rewrite a graph in place; its results change only by rounding."""
    graph = _Graph(model.graph)
    nodes: list[NodeProto] = []
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
        nodes += DECOMPOSERS.get(node.op_type, _as_it_is)(node, graph)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensor for name, tensor in graph.tensors.items() if name in used)
    # The types and shapes from before would contradict the new nodes.
    del model.graph.value_info[:]


class _Graph:
    """What the nodes of a graph are decomposed by.

    :ivar linear: the results of MatMuls.
    :ivar tensors: the weights, by name.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.linear = {node.output[0] for node in graph.node if node.op_type == "MatMul"}
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}

    def split(self, name: str, count: int) -> list[str]:
        """Equal parts of a tensor along its last axis; nodes may share a tensor."""
        parts = [f"{name}_part_{number}" for number in range(count)]
        if parts[0] not in self.tensors:
            values = np.split(numpy_helper.to_array(self.tensors[name]), count, axis=-1)
            for part, value in zip(parts, values, strict=True):
                self.tensors[part] = numpy_helper.from_array(np.ascontiguousarray(value), part)
        return parts


def _as_it_is(node: NodeProto, _graph: _Graph) -> Iterator[NodeProto]:
    yield node


def _decompose_attention(node: NodeProto, graph: _Graph) -> Iterator[NodeProto]:
    """``Attention(x, weights, bias, mask, past, attention_bias)``; the weights are Q, K and V, concatenated."""
    settings = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    hidden, weights, bias, mask, past, attention_bias = _inputs(node, 6)
    sizes = settings.get("qkv_hidden_sizes")
    if past or settings.get("unidirectional") or settings.get("do_rotary") or (sizes and len(set(sizes)) > 1):
        yield node  # not an encoder's; it stays in floating point and is listed
        return
    settings = {name: value for name, value in settings.items() if name in ("num_heads", "mask_filter_value", "scale")}
    matrices, biases = graph.split(weights, 3), graph.split(bias, 3) if bias else [""] * 3
    # The bias of keys adds the same to every score of a query, which the softmax takes out again.
    biases[1] = ""
    results = [f"{node.name}_{part}" for part in ("query", "key", "value")]
    for index, (name, matrix, row) in enumerate(zip(list(results), matrices, biases, strict=True)):
        yield helper.make_node("MatMul", [hidden, matrix], [name], name=name)
        if row:
            results[index] = f"{name}_biased"
            yield helper.make_node("Add", [name, row], [results[index]], name=results[index])
    inputs = [*results, "", mask, attention_bias]
    yield helper.make_node("MultiHeadAttention", inputs, node.output[:1], name=node.name, domain=_CONTRIB, **settings)


def _decompose_norm(node: NodeProto, graph: _Graph) -> Iterator[NodeProto]:
    """``SkipLayerNormalization(x, skip, gamma, beta, bias)``; the bias belongs to the MatMul among the first two.

    Its results are the norm, two that only training takes, and the sum, which layers with the norm before them go on
    with.
    """
    hidden, skip, gamma, beta, bias = _inputs(node, 5)
    if any(node.output[1:3]):
        yield node
        return
    epsilon = next(attribute.f for attribute in node.attribute if attribute.name == "epsilon")
    if bias:
        biased = f"{node.name}_biased"
        hidden, skip = (hidden, skip) if skip in graph.linear else (skip, hidden)
        yield helper.make_node("Add", [skip, bias], [biased], name=biased)
        skip = biased
    # Not an Add, which the session would fuse into a SkipLayerNormalization again.
    name = f"{node.name}_sum"
    total = (list(node.output)[3:] or [name])[0] or name
    yield helper.make_node("Sum", [hidden, skip], [total], name=name)
    norm = [total, gamma, beta]
    yield helper.make_node("LayerNormalization", norm, node.output[:1], name=node.name, epsilon=epsilon)


def _decompose_embeddings(node: NodeProto, _graph: _Graph) -> Iterator[NodeProto]:
    """``EmbedLayerNormalization(ids, type ids, words, positions, types, gamma, beta, mask, position ids)``."""
    ids, type_ids, words, positions, types, gamma, beta, mask, position_ids = _inputs(node, 9)
    if mask or len(node.output) > 2:
        yield node
        return
    name = node.name
    epsilon = next(attribute.f for attribute in node.attribute if attribute.name == "epsilon")
    places = position_ids or f"{name}_places"
    if not position_ids:
        yield from _counted(ids, places, name)
    looked_up = [(words, ids), (positions, places), *([(types, type_ids)] if type_ids else [])]
    parts = [f"{name}_{part}" for part in ("words", "positions", "types")[: len(looked_up)]]
    for part, (table, indices) in zip(parts, looked_up, strict=True):
        yield helper.make_node("Gather", [table, indices], [part], name=part)
    yield helper.make_node("Sum", parts, [f"{name}_sum"], name=f"{name}_sum")
    norm = [f"{name}_sum", gamma, beta]
    yield helper.make_node("LayerNormalization", norm, node.output[:1], name=name, epsilon=epsilon)


def _counted(ids: str, places: str, name: str) -> Iterator[NodeProto]:
    """The places of the tokens in each text: from 0 on."""
    zero, one, shape, length = (f"{name}_{part}" for part in ("zero", "one", "shape", "length"))
    for constant, value in ((zero, 0), (one, 1)):
        tensor = helper.make_tensor(constant, onnx.TensorProto.INT64, (), [value])
        yield helper.make_node("Constant", [], [constant], name=constant, value=tensor)
    yield helper.make_node("Shape", [ids], [shape], name=shape)
    yield helper.make_node("Gather", [shape, one], [length], name=length)
    yield helper.make_node("Range", [zero, length, one], [places], name=places)


def _decompose_simplified_norm(node: NodeProto, graph: _Graph) -> Iterator[NodeProto]:
    """``SimplifiedLayerNormalization(x, gamma)``, the norm by the root of the mean square.

    ONNX Runtime has it in ONNX's own domain, whose converter of opsets does not know it; its session fuses it again.
    """
    hidden, gamma = _inputs(node, 2)
    name = node.name
    epsilon = next((attribute.f for attribute in node.attribute if attribute.name == "epsilon"), 1e-5)
    values = {"two": np.float32(2), "epsilon": np.float32(epsilon), "axis": np.array([-1])}
    for part, value in values.items():
        graph.tensors[f"{name}_{part}"] = numpy_helper.from_array(np.asarray(value), f"{name}_{part}")
    square, mean, sum_, root, divided = (f"{name}_{part}" for part in ("square", "mean", "sum", "root", "divided"))
    yield helper.make_node("Pow", [hidden, f"{name}_two"], [square], name=square)
    yield helper.make_node("ReduceMean", [square, f"{name}_axis"], [mean], name=mean, keepdims=1)
    yield helper.make_node("Add", [mean, f"{name}_epsilon"], [sum_], name=sum_)
    yield helper.make_node("Sqrt", [sum_], [root], name=root)
    yield helper.make_node("Div", [hidden, root], [divided], name=divided)
    yield helper.make_node("Mul", [divided, gamma], node.output[:1], name=name)


def _decompose_gelu(node: NodeProto, _graph: _Graph) -> Iterator[NodeProto]:
    biased = f"{node.name}_biased"
    yield helper.make_node("Add", node.input, [biased], name=biased)
    yield helper.make_node("FastGelu", [biased], node.output, name=node.name, domain=_CONTRIB)


def _inputs(node: NodeProto, count: int) -> list[str]:
    """The operator's inputs, ``count`` of them; an absent one is an empty name."""
    given = list(node.input)[:count]
    return given + [""] * (count - len(given))


DECOMPOSERS: dict[str, Callable[[NodeProto, _Graph], Iterator[NodeProto]]] = {
    "Attention": _decompose_attention,
    "SkipLayerNormalization": _decompose_norm,
    "SimplifiedLayerNormalization": _decompose_simplified_norm,
    "BiasGelu": _decompose_gelu,
    "EmbedLayerNormalization": _decompose_embeddings,
}
