"""Weights that a fused operator takes as one: joined once, and not by a node at each run, in which INT8 finds none."""

from __future__ import annotations

import numpy as np
import onnx_ir
from onnx_ir.passes.common import RemoveUnusedNodesPass


def join_weights(model: onnx_ir.Model) -> None:
    """Let the weights of queries, keys and values be one tensor, in place."""
    for node in model.graph:
        parts = [value.const_value for value in node.inputs if value is not None and value.is_initializer()]
        if node.op_type != "Concat" or len(parts) < len(node.inputs) or None in parts:
            continue
        joined = np.concatenate([part.numpy() for part in parts if part is not None], node.attributes.get_int("axis"))
        name = f"{node.outputs[0].name}_joined"
        value = onnx_ir.Value(name=name, const_value=onnx_ir.tensor(joined, name=name))
        model.graph.register_initializer(value)
        node.outputs[0].replace_all_uses_with(value)
    RemoveUnusedNodesPass()(model)
