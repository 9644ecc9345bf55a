"""Fusing the raw graph, and counting what was fused: every way in which fusion fails is silent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnx_ir
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model
from onnxscript.rewriter.ort_fusions import optimize_for_ort

from replank.models.source import Source
from replank.system.quiet import quiet_logging
from replank_export.fusion.position_bias import share_position_bias
from replank_export.fusion.trace import Traced
from replank_export.graph_files import save_graph

FUSED_OPERATORS = ("Attention", "SkipLayerNormalization", "EmbedLayerNormalization", "BiasGelu")


def fuse_torchscript(raw: Path, fused: Path, traced: Traced) -> None:
    """Fuse the TorchScript exporter's graph with ONNX Runtime's optimizer."""
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
    save_graph(model.model, fused)


def fuse_dynamo(raw: Path, fused: Path, _traced: Traced) -> None:
    """Fuse the dynamo exporter's graph with onnxscript's fusions for ONNX Runtime."""
    model = onnx_ir.load(str(raw))
    share_position_bias(model)
    with quiet_logging():
        model, _counts = optimize_for_ort(model)
    graph = onnx_ir.to_proto(model)
    # Shapes of before the fusions, which later readers would trip over.
    del graph.graph.value_info[:]
    save_graph(graph, fused)


def count_fused(path: Path) -> dict[str, int]:
    """How often each fused operator stands in a graph; absent ones are left out."""
    counts = Counter(node.op_type for node in onnx.load(str(path), load_external_data=False).graph.node)
    return {name: counts[name] for name in FUSED_OPERATORS if counts[name]}


def unfused(counts: dict[str, int], source: Source) -> str | None:
    """What of the layers was not fused, in words; ``None`` if all of it was.

    :param counts: of :func:`count_fused`.
    """
    encoder, layers = source.encoder, source.layers
    expected = {"Attention": encoder.attentions * layers, "SkipLayerNormalization": encoder.norms * layers}
    if encoder.activation(source.config) == "gelu":
        expected["BiasGelu"] = encoder.gelus * layers
    # Embeddings and heads may have a norm or a GELU of their own that was fused too; attention they have not.
    missing = [
        f"{counts.get(name, 0)} {name} nodes instead of {number}"
        for name, number in expected.items()
        if counts.get(name, 0) < number or (name == "Attention" and counts[name] != number)
    ]
    return f"fusion found {', '.join(missing)} for {layers} layers" if missing else None


def takes_lengths(model: onnx.ModelProto) -> bool:
    """Whether a graph's attention takes the length of each text instead of its mask.

    ONNX Runtime's optimizer makes such graphs unless it is told not to: the mask is summed up, by a node of its own or
    within the embeddings' one.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    masks = {
        node.input[3]
        for node in model.graph.node
        if node.op_type in ("Attention", "QAttention") and len(node.input) > 3
    }
    summed = {"ReduceSum", "EmbedLayerNormalization"}
    return any(mask in makers and makers[mask].op_type in summed for mask in masks)
