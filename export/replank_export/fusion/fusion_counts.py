"""Counts of fused operators: every way in which fusion fails is silent, so a graph's are compared with its layers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx

from replank.models.source import Source

ATTENTION_OPERATORS = ("Attention", "MultiHeadAttention", "RotaryEmbedding")
FUSED_OPERATORS = (
    *ATTENTION_OPERATORS,
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "EmbedLayerNormalization",
    "BiasGelu",
)


def count_fused(path: Path) -> dict[str, int]:
    """The number of nodes of each fused operator in a graph; absent operators are left out."""
    counts = Counter(node.op_type for node in onnx.load(str(path), load_external_data=False).graph.node)
    return {name: counts[name] for name in FUSED_OPERATORS if counts[name]}


def unfused(counts: dict[str, int], source: Source) -> str | None:
    """The parts of the layers that were not fused, in words; ``None`` if everything was.

    :param counts: result of :func:`count_fused`.
    :param source: the model that was exported.
    """
    encoder, layers = source.encoder, source.layers
    expected = encoder.fused.nodes(layers, encoder.activation(source.config))
    if source.references:
        # The first layer's attention is an operator of its own.
        expected |= {"Attention": layers - 1, "MultiHeadAttention": 1}
    # Embeddings and heads may have fused norms and GELUs of their own, but no attention.
    missing = [
        f"{counts.get(name, 0)} {name} nodes instead of {number}"
        for name, number in expected.items()
        if counts.get(name, 0) < number or (name in ATTENTION_OPERATORS and counts.get(name, 0) != number)
    ]
    return f"fusion found {', '.join(missing)} for {layers} layers" if missing else None
