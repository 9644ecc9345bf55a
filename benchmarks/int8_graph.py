"""Fused operators decomposed before INT8: each alone and all, compared with the INT8 MatMuls by themselves.

    python benchmarks/int8_graph.py

BERT-base's shape, 6 layers, random weights. Times are the processor time of one thread, which a busy machine hardly
changes; variants run in turn. The result is written to benchmarks/results/int8_graph.json.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from base_speed import make_base
from int8_batching import OneScaleInt8
from replank.models.source import open_source
from replank.runtime.session import open_session
from replank.system.environment import machine, versions
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8, Int8Config
from replank_export.int8.decompose import DECOMPOSERS

RESULT = Path(__file__).parent / "results" / "int8_graph.json"
LAYERS, HIDDEN, ROUNDS = 6, 768, 9
SHAPES = ((1, 16), (1, 128), (8, 128))
# The linear layers of one layer: queries, keys and values; the attention's output; the feed-forward part.
WEIGHTS = ((HIDDEN, 3 * HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 4 * HIDDEN), (4 * HIDDEN, HIDDEN))
DECOMPOSED: dict[str, tuple[str, ...]] = {
    "nothing": (),
    **{name: (name,) for name in DECOMPOSERS},
    "everything": tuple(DECOMPOSERS),
}

# Variants have one scale per activation, and one per token after GELU; these have it nowhere, and everywhere.
SCALES: dict[str, Int8Config] = {
    "everything, one scale": OneScaleInt8(after_gelu=False),
    "everything, a scale per token": DynamicInt8(),
}


def main() -> None:
    """Make the variants, time them, write the result."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_base(folder / "torch", LAYERS)
        fused = export(open_source(folder / "torch"), folder / "onnx", ExportConfig()).model_file
        graphs = {"fp32": fused}
        for name, operators in DECOMPOSED.items():
            with (
                patch.dict(DECOMPOSERS, {operator: DECOMPOSERS[operator] for operator in operators}, clear=True),
                OneScaleInt8().prepare(fused) as graph,
            ):
                graphs[name] = folder / f"{name}.onnx"
                graph.write(graphs[name])
        graphs["everything, exact GELU"] = with_exact_gelu(graphs["everything"], folder / "exact.onnx")
        for name, config in SCALES.items():
            with config.prepare(fused) as graph:
                graphs[name] = folder / f"{name}.onnx"
                graph.write(graphs[name])
        cells = [cell for shape in SHAPES for cell in time_graphs(graphs, *shape)]
    values = {"cells": cells, "machine": asdict(machine()), "versions": versions()}
    RESULT.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def with_exact_gelu(source: Path, target: Path) -> Path:
    """The graph with GELU by its error function."""
    model = onnx.load(str(source))
    for node in model.graph.node:
        if node.op_type == "FastGelu":
            node.op_type = "Gelu"
    onnx.save(model, str(target))
    return target


def time_graphs(graphs: dict[str, Path], batch_size: int, length: int) -> list[dict[str, Any]]:
    """Milliseconds of each graph at one shape, and of its MatMuls alone."""
    ids = np.random.default_rng(0).integers(1000, 20000, (batch_size, length))
    arrays = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    runs: dict[str, Callable[[], Any]] = {}
    for name, path in graphs.items():
        session = open_session(path, threads=1)
        feeds = {node.name: arrays[node.name] for node in session.get_inputs()}
        runs[name] = lambda session=session, feeds=feeds: session.run(None, feeds)  # type: ignore[misc]
    matmuls = [matmul(batch_size * length, *shape) for shape in WEIGHTS]
    runs["products alone"] = lambda: [run() for _ in range(LAYERS) for run in matmuls]
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            run()
            start = time.process_time()
            run()
            samples[name].append(1000 * (time.process_time() - start))
    return [
        {"graph": name, "batch_size": batch_size, "length": length, "ms": median(values), "samples_ms": values}
        for name, values in samples.items()
    ]


def matmul(rows: int, inner: int, columns: int) -> Callable[[], Any]:
    """One INT8 MatMul of ONNX Runtime."""
    generator = np.random.default_rng(0)
    weights = numpy_helper.from_array(generator.integers(-127, 128, (inner, columns), dtype=np.int8), "w")
    left = helper.make_tensor_value_info("x", TensorProto.UINT8, (rows, inner))
    right = helper.make_tensor_value_info("y", TensorProto.INT32, (rows, columns))
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "matmul", [left], [right], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = open_session(model.SerializeToString(), threads=1)
    feeds = {"x": generator.integers(0, 256, (rows, inner), dtype=np.uint8)}
    return lambda: session.run(None, feeds)


if __name__ == "__main__":
    main()
