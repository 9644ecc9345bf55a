"""Attention as one operator against its parts, in fp32 on the CPU.

    python benchmarks/attention.py

Two layers of each base-sized shape, random weights, exported fused; then the same graph with each MultiHeadAttention
(or Attention, whose projections become MatMuls of their own) opened into MatMuls and a Softmax. Both run in turn, on
all cores. The result is one file for each version of ONNX Runtime: benchmarks/results/attention-VERSION.json.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np
import onnx
import onnxruntime
from onnx import NodeProto, TensorProto, helper, numpy_helper

from base_speed import ENCODERS, make_base
from interleaved import time_in_turn
from replank.models.source import open_source
from replank.runtime.session import open_session
from replank.system.environment import machine, versions
from replank_export.convert import ExportConfig, export
from replank_export.int8 import decompose

RESULTS = Path(__file__).parent / "results"
_LAYERS, _HEAD_SIZE = 2, 64
_TOLERANCE = 1e-4
_CONSTANTS: dict[str, Any] = {
    "opened_heads": np.array([0, 0, -1, _HEAD_SIZE], dtype=np.int64),
    "opened_flat": np.array([0, 0, -1], dtype=np.int64),
    "opened_one": np.float32(1),
    "opened_low": np.float32(-3.4e38),
    "opened_axes": np.array([1, 2], dtype=np.int64),
}


@click.command()
@click.option("--batch-size", "batch_sizes", type=int, multiple=True, default=(1, 8), show_default=True)
@click.option("--length", "lengths", type=int, multiple=True, default=(16, 128, 512), show_default=True)
@click.option("--rounds", default=7, show_default=True)
@click.option("--seconds", default=0.5, show_default=True, help="Of each graph in each round.")
def main(batch_sizes: tuple[int, ...], lengths: tuple[int, ...], rounds: int, seconds: float) -> None:
    """Time both forms of each encoder, and write the result."""
    cells = []
    with tempfile.TemporaryDirectory() as scratch:
        for encoder in ENCODERS:
            folder = Path(scratch) / encoder
            make_base(folder / "torch", _LAYERS, encoder)
            fused = export(open_source(folder / "torch"), folder / "onnx", ExportConfig()).model_file
            graphs = {"fused": fused, "opened": opened(fused, folder / "opened.onnx")}
            for batch_size, length in ((size, length) for size in batch_sizes for length in lengths):
                ways = {name: run_of(path, batch_size, length) for name, path in graphs.items()}
                difference = float(np.abs(ways["fused"]() - ways["opened"]()).max())
                if difference > _TOLERANCE:
                    raise ValueError(f"{encoder}: the forms differ by {difference}")
                found = time_in_turn(ways, batch_size, rounds=rounds, seconds=seconds)
                cells.append({"encoder": encoder, "batch_size": batch_size, "length": length, "forms": found})
                click.echo(f"{encoder} {batch_size} x {length}: {found['opened']['ratio']['median']:.3f}", err=True)
    result = {"cells": cells, "layers": _LAYERS, "machine": asdict(machine()), "versions": versions()}
    path = RESULTS / f"attention-{onnxruntime.__version__}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def run_of(path: Path, batch_size: int, length: int) -> Any:
    """A call that runs a graph once and returns its first output."""
    session = open_session(path)
    ids = np.random.default_rng(0).integers(1000, 20000, (batch_size, length))
    arrays = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    feeds = {node.name: arrays[node.name] for node in session.get_inputs()}
    return lambda: session.run(None, feeds)[0]


def opened(source: Path, target: Path) -> Path:
    """A graph without an operator for attention."""
    model = onnx.load(str(source))
    only_attention = {"Attention": decompose.DECOMPOSERS["Attention"]}
    with patch.dict(decompose.DECOMPOSERS, only_attention, clear=True):
        decompose.decompose_for_int8(model)
    tensors = dict(_CONSTANTS)
    nodes = [part for node in model.graph.node for part in _parts(node, tensors)]
    unique: dict[str, NodeProto] = {node.output[0]: node for node in nodes}
    del model.graph.node[:]
    model.graph.node.extend(unique.values())
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items())
    onnx.save(model, str(target))
    return target


def _parts(node: NodeProto, tensors: dict[str, Any]) -> Iterator[NodeProto]:
    """``MultiHeadAttention(query, key, value, bias, mask, attention_bias)``, with the mask 1 for tokens."""
    if node.op_type != "MultiHeadAttention":
        yield node
        return
    query, key, value, _, mask, attention_bias = [*node.input, *[""] * 6][:6]
    scale = next((attribute.f for attribute in node.attribute if attribute.name == "scale"), _HEAD_SIZE**-0.5)
    tensors[f"{node.name}_scale"] = np.float32(scale)
    names = {
        part: f"{node.name}_opened_{part}" for part in ("query", "key", "value", "scores", "scaled", "weights", "mixed")
    }
    for part, tensor, order in (
        ("query", query, (0, 2, 1, 3)),
        ("key", key, (0, 2, 3, 1)),
        ("value", value, (0, 2, 1, 3)),
    ):
        yield helper.make_node("Reshape", [tensor, "opened_heads"], [f"{names[part]}_heads"])
        yield helper.make_node("Transpose", [f"{names[part]}_heads"], [names[part]], perm=order)
    yield helper.make_node("MatMul", [names["query"], names["key"]], [names["scores"]])
    yield helper.make_node("Mul", [names["scores"], f"{node.name}_scale"], [names["scaled"]])
    scores = names["scaled"]
    for bias in filter(None, (attention_bias, mask and f"{mask}_opened")):
        yield from _mask_bias(mask, bias) if bias != attention_bias else ()
        yield helper.make_node("Add", [scores, bias], [f"{scores}_biased"])
        scores = f"{scores}_biased"
    yield helper.make_node("Softmax", [scores], [names["weights"]], axis=-1)
    yield helper.make_node("MatMul", [names["weights"], names["value"]], [names["mixed"]])
    yield helper.make_node("Transpose", [names["mixed"]], [f"{names['mixed']}_tokens"], perm=(0, 2, 1, 3))
    yield helper.make_node("Reshape", [f"{names['mixed']}_tokens", "opened_flat"], node.output)


def _mask_bias(mask: str, bias: str) -> Iterator[NodeProto]:
    """What is added to scores, from a mask; all layers share it."""
    yield helper.make_node("Cast", [mask], [f"{mask}_float"], to=TensorProto.FLOAT)
    yield helper.make_node("Sub", ["opened_one", f"{mask}_float"], [f"{mask}_absent"])
    yield helper.make_node("Mul", [f"{mask}_absent", "opened_low"], [f"{mask}_low"])
    yield helper.make_node("Unsqueeze", [f"{mask}_low", "opened_axes"], [bias])


if __name__ == "__main__":
    main()
