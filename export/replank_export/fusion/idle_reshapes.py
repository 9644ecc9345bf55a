"""Reshapes in a row whose last gives the first's input again: heads split for a function that joins them."""

from __future__ import annotations

import onnx_ir
from onnx_ir.passes.common import RemoveUnusedNodesPass


def drop_idle_reshapes(model: onnx_ir.Model) -> None:
    """Let what follows such a row take the first's input, and drop what nobody takes any more."""
    for node in model.graph:
        if node.op_type == "Reshape":
            before = _same_before(node)
            if before is not None:
                node.outputs[0].replace_all_uses_with(before)
    RemoveUnusedNodesPass()(model)


def _same_before(reshape: onnx_ir.Node) -> onnx_ir.Value | None:
    """The value before a reshape, and those just before it, that has the shape of its result."""
    shape, value = reshape.outputs[0].shape, reshape.inputs[0]
    while value is not None:
        if shape is not None and None not in shape.dims and value.shape == shape:
            return value
        producer = value.producer()
        value = producer.inputs[0] if producer is not None and producer.op_type == "Reshape" else None
    return None
