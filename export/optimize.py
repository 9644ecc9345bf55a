"""Fusing the raw graph, and counting what was fused: every way in which fusion fails is silent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from export.trace import Traced
from replank.errors import ModelError
from replank.quiet import quiet_logging

FUSED_OPERATORS = ("Attention", "SkipLayerNormalization", "EmbedLayerNormalization", "BiasGelu")


def fuse(raw: Path, fused: Path, traced: Traced, layers: int) -> dict[str, int]:
    """Fuse attention, layer norms with their residuals, and GELU with its bias.

    :param layers: Transformer layers of the model, which the counts are asserted against.
    :returns: how often each fused operator stands in the graph.
    :raises ModelError: a layer's attention or one of its two layer norms was not fused.
    """
    options = FusionOptions("bert")
    # The default turns the mask into lengths, which gives wrong numbers, silently, for left padding and holes.
    options.use_raw_attention_mask(True)
    with quiet_logging():  # it logs its guesses and advice; what it did is counted instead
        model = optimize_model(
            str(raw),
            model_type="bert",
            num_heads=traced.heads,
            hidden_size=traced.hidden_size,
            optimization_options=options,
            opt_level=0,
        )
        model.save_model_to_file(str(fused))
    counts = count_fused(fused)
    expected = {"Attention": layers, "SkipLayerNormalization": 2 * layers}
    for operator, number in expected.items():
        if counts.get(operator, 0) != number:
            raise ModelError(
                f"fusion found {counts.get(operator, 0)} {operator} nodes for {layers} layers; expected {number}",
                hint="unfused, the model would be slow in silence; is its architecture altered?",
            )
    return counts


def count_fused(path: Path) -> dict[str, int]:
    """How often each fused operator stands in a graph; absent ones are left out."""
    counts = Counter(node.op_type for node in onnx.load(str(path), load_external_data=False).graph.node)
    return {name: counts[name] for name in FUSED_OPERATORS if counts[name]}
