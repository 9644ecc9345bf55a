"""The contents of a graph: its operators, which of them are fused, and what of an INT8 graph is not in INT8."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner

from replank.models.source import Source
from replank.system.errors import ModelError
from replank_export.profile.flops import ForwardPass
from replank_export.profile.graph_flops import graph_flops

_ATTENTION = ("Attention", "MultiHeadAttention", "QAttention")
_GELU = ("BiasGelu", "FastGelu", "Gelu", "QuickGelu")
_EMBEDDINGS = ("EmbedLayerNormalization", "QEmbedLayerNormalization")


@dataclass(frozen=True)
class GraphReport:
    """The contents of a graph.

    :param operators: number of nodes by operator, the most frequent first.
    :param fused: by part of the model, how often it is fused and how often it could be.
    :param not_int8: MatMuls with a weight and embedding tables of an INT8 graph that are in another precision, the
        largest first; empty for a graph without INT8.
    """

    operators: dict[str, int]
    fused: dict[str, tuple[int, int]]
    not_int8: list[dict[str, Any]]
    forward_pass: ForwardPass


def graph_report(source: Source, batch_size: int, length: int) -> GraphReport:
    """The report on a model's graph, which is read and not run.

    :param source: an ONNX model, with or without a manifest.
    :param length: tokens per text.
    :raises ModelError: the file is not an ONNX graph, or its inputs are not those of an encoder.
    """
    path = source.model_file
    model = _read(path)
    operators = dict(Counter(node.op_type for node in model.graph.node).most_common())
    forward_pass = graph_flops(model, source.weights.parameter_bytes, batch_size, length)
    return GraphReport(
        operators=operators,
        fused=_fused_parts(operators, source),
        not_int8=_not_int8(forward_pass),
        forward_pass=forward_pass,
    )


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own type, which is not part of onnx's interface
        raise ModelError(f"{path} holds no ONNX graph: {error}", hint="copy it again, or export it again") from error
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def _fused_parts(operators: dict[str, int], source: Source) -> dict[str, tuple[int, int]]:
    """Fused and possible counts of each part of the model; embeddings and heads may add to the layers' counts."""
    encoder, layers = source.encoder, source.layers
    wanted = {
        "attention": (_ATTENTION, layers),
        "layer norms": ((encoder.fused.norm,), encoder.fused.norms * layers),
        **({"gelu": (_GELU, layers)} if "gelu" in encoder.activation(source.config) else {}),
        "embeddings": (_EMBEDDINGS, 1),
    }
    counts = {name: sum(operators.get(operator, 0) for operator in found) for name, (found, _) in wanted.items()}
    # INT8 graphs have norms decomposed into a Sum and a LayerNormalization on purpose, the embeddings' too; no exporter
    # writes such a Sum.
    decomposed = min(operators.get("Sum", 0), operators.get("LayerNormalization", 0))
    counts["layer norms"] += decomposed
    counts["embeddings"] += max(0, decomposed - encoder.fused.norms * layers)
    if "gelu" in counts:
        # Sessions fuse a GELU that is spelt out, with a cube and a tanh; a norm spelt out has a square and a root.
        powers = max(0, operators.get("Pow", 0) - operators.get("Sqrt", 0))
        counts["gelu"] += min(powers, operators.get("Tanh", 0))
    return {name: (min(counts[name], most), most) for name, (_, most) in wanted.items()}


def _not_int8(forward_pass: ForwardPass) -> list[dict[str, Any]]:
    if all(matmul.precision != "int8" for matmul in forward_pass.matmuls):
        return []
    found = [
        {"name": matmul.name, "operator": matmul.operator, "shape": [matmul.inner, matmul.columns]}
        for matmul in forward_pass.matmuls
        if matmul.has_weight and matmul.precision != "int8"
    ]
    found += [
        {"name": weight.name, "operator": "look-up", "shape": list(weight.shape)}
        for weight in forward_pass.weights
        if weight.is_table and weight.precision != "int8"
    ]
    return sorted(found, key=lambda entry: -prod(entry["shape"]))
