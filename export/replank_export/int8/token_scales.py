"""A scale for each token, where one scale for a whole batch loses most.

What GELU leaves has tokens with numbers far larger than those of all others, so that one scale for all rounds the
others away: in INT8 the product after it costs most of what is lost, and an answer depends on which texts run together.
Each token is divided by its largest number before that product, and its result multiplied by it: ``(x / r) W r = x W``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

_ACTIVATIONS = ("Gelu", "FastGelu", "Relu")
# Below it a token is all but zero and stays as it is: GELU's own minimum is -0.17.
_SMALLEST = 0.17


def scale_tokens(model: onnx.ModelProto) -> None:
    """Rewrite a graph in fp32 in its place; the numbers are the same but for rounding."""
    weights = {tensor.name for tensor in model.graph.initializer}
    activated = {node.output[0] for node in model.graph.node if node.op_type in _ACTIVATIONS}
    axis, smallest = "token_scales_axis", "token_scales_smallest"
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), axis))
    model.graph.initializer.append(numpy_helper.from_array(np.array(_SMALLEST, dtype=np.float32), smallest))
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[0] in activated and node.input[1] in weights:
            nodes += _scaled(node, axis, smallest)
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _scaled(product: NodeProto, axis: str, smallest: str) -> Iterator[NodeProto]:
    hidden, result = product.input[0], product.output[0]
    largest, scale, scaled, raw = (f"{product.name}_{part}" for part in ("largest", "scale", "scaled", "raw"))
    yield helper.make_node("ReduceMax", [hidden, axis], [largest], name=largest, keepdims=1)
    yield helper.make_node("Max", [largest, smallest], [scale], name=scale)
    yield helper.make_node("Div", [hidden, scale], [scaled], name=scaled)
    product.input[0], product.output[0] = scaled, raw
    yield product
    yield helper.make_node("Mul", [raw, scale], [result], name=f"{product.name}_unscaled")
