"""The speed of an encoder in integers beside fp32, dynamic and static INT8, on this machine's CPU.

    python benchmarks/integer.py MODEL

MODEL is a torch model with a head; its training data need not be there, since ranges found on random texts cost the
same time. Variants run in turn, so that what else the machine does falls on all of them, and times are the processor
time of one thread. The result is written to benchmarks/results/integer.json, of a CPU without VNNI to
integer_avx2.json (--out).
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import onnx

from replank.integer.ranges import Ranges
from replank.models.source import Source, open_source
from replank.runtime.load import load_model
from replank.runtime.session import open_session
from replank.runtime.torch_model import load_torch_model
from replank.system.environment import machine, versions
from replank.text.padding import INPUT_NAMES, Batch
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8, Int8Config, StaticInt8
from replank_export.integer.calibrate import calibrate
from replank_export.integer.model import integer_model

RESULT = Path(__file__).parent / "results" / "integer.json"
SHAPES = tuple((rows, length) for rows in (1, 8) for length in (16, 128, 256))
GRAPH_SCHEMES: tuple[type[Int8Config], ...] = (DynamicInt8, StaticInt8)
CALIBRATION_ROWS = 16


@click.command()
@click.argument("model")
@click.option("--rounds", default=9, help="Samples of each variant and shape.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, help="File of the result.")
def main(model: str, rounds: int, out: Path) -> None:
    """Time MODEL in every precision."""
    source = open_source(model)
    with tempfile.TemporaryDirectory(prefix="replank-") as scratch:
        graphs = variants(source, Path(scratch))
        cells = [cell for shape in SHAPES for cell in time_graphs(graphs, *shape, rounds=rounds)]
    shape = {"layers": source.layers, "hidden_size": source.encoder.hidden_size(source.config)}
    values = {"model": shape, "cells": cells, "machine": asdict(machine()), "versions": versions()}
    out.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def variants(source: Source, folder: Path) -> dict[str, Path]:
    """The graphs of a model by the name of their precision."""
    fused = export(source, folder / "fp32", ExportConfig()).model_file
    graphs = {"fp32": fused}
    texts = random_texts(source)
    for scheme in GRAPH_SCHEMES:
        graphs[scheme.name] = folder / f"{scheme.name}.onnx"
        with scheme().prepare(fused, texts) as graph:
            graph.write(graphs[scheme.name])
    graphs["integer"] = folder / "integer.onnx"
    onnx.save(integer_graph(source, texts, calibrate(load_torch_model(source), source.name, texts)), graphs["integer"])
    return graphs


def integer_graph(source: Source, texts: list[Batch], ranges: Ranges) -> onnx.ModelProto:
    """The graph of integers, checked on the texts."""
    return integer_model(
        source,
        source.task,
        load_torch_model(source).eval(),
        ranges,
        "cpu",
        token_type_ids=source.text_encoder(source.task).input_names == INPUT_NAMES,
        traced=texts[:1],
        checked=texts[:1],
    ).graph


def random_texts(source: Source) -> list[Batch]:
    """Texts of random tokens to find ranges on."""
    generator, encoder = np.random.default_rng(0), load_model(source).text_encoder
    words = [" ".join(map(str, generator.integers(0, 9999, 30))) for _ in range(CALIBRATION_ROWS)]
    return [encoder.pad([tokens]) for tokens in encoder.tokenize(words)]


def time_graphs(graphs: dict[str, Path], rows: int, length: int, *, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of each graph at one shape."""
    ids = np.random.default_rng(0).integers(1000, 20000, (rows, length))
    arrays = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    sessions = {name: open_session(path, threads=1) for name, path in graphs.items()}
    samples: dict[str, list[float]] = {name: [] for name in graphs}
    for round_number in range(rounds + 1):
        for name, session in sessions.items():
            feeds = {node.name: arrays[node.name] for node in session.get_inputs()}
            start = time.process_time()
            session.run(None, feeds)
            if round_number:  # the first warms up
                samples[name].append(1000 * (time.process_time() - start))
    return [
        {"precision": name, "rows": rows, "length": length, "ms": median(values), "samples_ms": values}
        for name, values in samples.items()
    ]


if __name__ == "__main__":
    main()
