"""What a graph is made of, for a person who asks whether it is fused, and what really runs in INT8."""

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
from replank_export.profile.flops import Work
from replank_export.profile.graph_flops import graph_work

_ATTENTION = ("Attention", "MultiHeadAttention", "QAttention")
_LAYER_NORM = ("SkipLayerNormalization",)
_GELU = ("BiasGelu", "FastGelu", "Gelu", "QuickGelu")
_EMBEDDINGS = ("EmbedLayerNormalization", "QEmbedLayerNormalization")


@dataclass(frozen=True)
class GraphReport:
    """A graph, read.

    :param operators: how often each stands there, the most frequent first.
    :param fused: what can be fused, how often it is, and how often it could be.
    :param not_int8: of a graph that computes in INT8 what does not, the largest first: products with a weight, in
        whatever precision that is stored, and tables to look words up in. Of another graph nothing.
    :param work: of one forward pass.
    """

    operators: dict[str, int]
    fused: dict[str, tuple[int, int]]
    not_int8: list[dict[str, Any]]
    work: Work


def graph_report(source: Source, batch_size: int, length: int) -> GraphReport:
    """Read a graph; nothing is run.

    :param source: an ONNX model, also one without a manifest.
    :param length: tokens of each text.
    :raises ModelError: the file holds no graph, or one whose inputs are not an encoder's.
    """
    path = source.model_file
    model = _read(path)
    operators = dict(Counter(node.op_type for node in model.graph.node).most_common())
    work = graph_work(model, _file_bytes(path, model), batch_size, length)
    return GraphReport(
        operators=operators,
        fused=_count_fused(operators, source),
        not_int8=_not_int8(work),
        work=work,
    )


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own, which is no part of onnx's interface
        raise ModelError(f"{path} holds no ONNX graph: {error}", hint="copy it again, or export it again") from error
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def _file_bytes(path: Path, model: onnx.ModelProto) -> int:
    """The graph's file, with those that hold its weights where they lie apart."""
    apart = {
        entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"
    }
    return sum((path.parent / name).stat().st_size for name in (path.name, *apart))


def _count_fused(operators: dict[str, int], source: Source) -> dict[str, tuple[int, int]]:
    """How often the layers' operators are fused, and could be; embeddings and heads may have more of them."""
    encoder, layers = source.encoder, source.layers
    wanted = {
        "attention": (_ATTENTION, encoder.attentions * layers),
        "layer norms": (_LAYER_NORM, encoder.norms * layers),
        **({"gelu": (_GELU, encoder.gelus * layers)} if "gelu" in encoder.activation(source.config) else {}),
        "embeddings": (_EMBEDDINGS, 1),
    }
    counts = {name: sum(operators.get(operator, 0) for operator in found) for name, (found, _) in wanted.items()}
    # INT8 graphs have norms opened into a sum and a norm on purpose, the embeddings' too; no exporter writes such sums.
    opened = min(operators.get("Sum", 0), operators.get("LayerNormalization", 0))
    counts["layer norms"] += opened
    counts["embeddings"] += max(0, opened - encoder.norms * layers)
    return {name: (min(counts[name], most), most) for name, (_, most) in wanted.items()}


def _not_int8(work: Work) -> list[dict[str, Any]]:
    if all(product.precision != "int8" for product in work.products):
        return []
    found = [
        {"name": product.name, "operator": product.operator, "shape": [product.inner, product.columns]}
        for product in work.products
        if product.has_weight and product.precision != "int8"
    ]
    found += [
        {"name": weight.name, "operator": "look-up", "shape": list(weight.shape)}
        for weight in work.weights
        if weight.is_table and weight.precision != "int8"
    ]
    return sorted(found, key=lambda entry: -prod(entry["shape"]))
