"""The mask of fused attention: raw, or reduced to lengths, which is wrong for left padding and holes."""

from __future__ import annotations

import onnx


def takes_lengths(model: onnx.ModelProto) -> bool:
    """Whether a graph's attention takes the length of each text instead of its mask.

    ONNX Runtime's optimizer makes such graphs by default: the mask is summed, by a node of its own or inside
    ``EmbedLayerNormalization``.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    masks = {
        node.input[3]
        for node in model.graph.node
        if node.op_type in ("Attention", "QAttention") and len(node.input) > 3
    }
    summed = {"ReduceSum", "EmbedLayerNormalization"}
    return any(mask in producers and producers[mask].op_type in summed for mask in masks)
