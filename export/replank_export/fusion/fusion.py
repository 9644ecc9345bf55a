"""Fusion of raw graphs: attention, norms with the addition before them, and GELU with its bias become single nodes."""

from __future__ import annotations

from pathlib import Path

import onnx_ir
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model
from onnxscript.rewriter.ort_fusions import optimize_for_ort

from replank.system.quiet import quiet_logging
from replank_export.fusion.idle_reshapes import drop_idle_reshapes
from replank_export.fusion.joined_weights import join_weights
from replank_export.fusion.position_bias import share_position_bias
from replank_export.fusion.trace import Traced
from replank_export.graph_files import save_graph


def fuse_torchscript(raw: Path, fused: Path, traced: Traced) -> None:
    """Fuse a graph of the TorchScript exporter with ONNX Runtime's optimizer."""
    options = FusionOptions("bert")
    # By default the mask is reduced to lengths, which silently gives wrong numbers for left padding and holes.
    options.use_raw_attention_mask(True)
    # Its operator adds words, positions and segments; what a fourth table adds, ERNIE's tasks, would silently be lost.
    options.enable_embed_layer_norm = traced.tables <= 3
    with quiet_logging():  # the optimizer logs guesses and advice; the fused operators are counted instead
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
    """Fuse a graph of the dynamo exporter with onnxscript's fusions for ONNX Runtime."""
    model = onnx_ir.load(str(raw))
    share_position_bias(model)
    with quiet_logging():
        model, _counts = optimize_for_ort(model)
    drop_idle_reshapes(model)
    join_weights(model)
    graph = onnx_ir.to_proto(model)
    # These shapes are from before the fusions and would mislead later readers.
    del graph.graph.value_info[:]
    save_graph(graph, fused)
