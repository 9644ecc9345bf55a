"""Relative position biases, which the fusion of attention supports only as a part of the mask."""

from __future__ import annotations

import onnx_ir


def share_position_bias(model: onnx_ir.Model) -> None:
    """Turn ``(scores + bias) + mask`` into ``scores + (bias + mask)`` before every softmax.

    MPNet adds a relative position bias and then the mask to the scores of every layer. Both are the same in all layers:
    their sum is computed once, which leaves the single addition that the fusion of attention expects.
    """
    sums: dict[tuple[onnx_ir.Value, onnx_ir.Value], onnx_ir.Value] = {}
    for node in list(model.graph):
        parts = _scores_bias_and_mask(node)
        if parts is None:
            continue
        inner, scores, bias, mask = parts
        if (bias, mask) not in sums:
            total = onnx_ir.node("Add", inputs=[bias, mask])
            total.outputs[0].type = bias.type
            # The result of broadcasting (batch or 1, heads, length, length) with (batch, 1, length, length).
            total.outputs[0].shape = inner.outputs[0].shape
            model.graph.insert_before(inner, total)
            sums[bias, mask] = total.outputs[0]
        outer = node.inputs[0].producer()  # type: ignore[union-attr]
        outer.replace_input_with(0, scores)  # type: ignore[union-attr]
        outer.replace_input_with(1, sums[bias, mask])  # type: ignore[union-attr]
        model.graph.remove(inner, safe=True)


def _scores_bias_and_mask(
    node: onnx_ir.Node,
) -> tuple[onnx_ir.Node, onnx_ir.Value, onnx_ir.Value, onnx_ir.Value] | None:
    """The inner addition and the three addends before a softmax; ``None`` if there are not two additions."""
    outer = node.inputs[0].producer() if node.op_type == "Softmax" and node.inputs[0] else None
    inner = outer.inputs[0].producer() if outer is not None and outer.op_type == "Add" and outer.inputs[0] else None
    if outer is None or inner is None or inner.op_type != "Add":
        return None
    (scores, bias), mask = inner.inputs, outer.inputs[1]
    if scores is None or bias is None or mask is None or len(inner.outputs[0].uses()) != 1:
        return None
    return inner, scores, bias, mask
