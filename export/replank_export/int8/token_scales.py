"""One scale per token after GELU, where a fixed scale for all tokens loses the most accuracy.

A few tokens have activations far larger than all others', so that a common scale rounds the others away: the linear
layer after GELU then causes most of INT8's error. Each token is divided by its largest activation before that layer,
and the result multiplied by it: ``(x / r) W r = x W``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

ACTIVATIONS = ("Gelu", "FastGelu", "Relu")
LOWEST = -0.17
"""The minimum of GELU, and of all of them."""


def scale_tokens(model: onnx.ModelProto) -> None:
    """Rewrite an fp32 graph in place; its results change only by rounding."""
    weights = {tensor.name for tensor in model.graph.initializer}
    activated = {node.output[0] for node in model.graph.node if node.op_type in ACTIVATIONS}
    axis, smallest = "token_scales_axis", "token_scales_smallest"
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), axis))
    # Tokens whose largest activation is smaller are almost zero and stay unscaled.
    model.graph.initializer.append(numpy_helper.from_array(np.array(-LOWEST, dtype=np.float32), smallest))
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[0] in activated and node.input[1] in weights:
            nodes += _scaled(node, axis, smallest)
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _scaled(matmul: NodeProto, axis: str, smallest: str) -> Iterator[NodeProto]:
    hidden, result = matmul.input[0], matmul.output[0]
    largest, scale, scaled, raw = (f"{matmul.name}_{part}" for part in ("largest", "scale", "scaled", "raw"))
    yield helper.make_node("ReduceMax", [hidden, axis], [largest], name=largest, keepdims=1)
    yield helper.make_node("Max", [largest, smallest], [scale], name=scale)
    yield helper.make_node("Div", [hidden, scale], [scaled], name=scaled)
    matmul.input[0], matmul.output[0] = scaled, raw
    yield matmul
    yield helper.make_node("Mul", [raw, scale], [result], name=f"{matmul.name}_unscaled")
