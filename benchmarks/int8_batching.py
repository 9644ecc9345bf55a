"""INT8 with a scale per token against one per activation: what a batch does to answers, and what its absence costs.

    python benchmarks/int8_batching.py DEMO

DEMO is the folder that `replank quickstart` makes. Three graphs of its model are compared: fp32; INT8 with one scale
over each activation but that after GELU, as ONNX Runtime's quantizer makes it; INT8 as `replank quantize` makes it.

- Influence: 600 texts of the test split alone, in batches of 16, and beside a text of 200 exclamation marks.
- Quality: metrics on the whole test split.
- Speed: the INT8 graphs of the demo's model and of BERT-base's shape (6 layers, random weights). Rounds interleave the
  two, in one order and then in the other, and each gives a ratio. On one thread it is processor time, which a busy
  machine hardly changes; on all cores the clock.

The result is written to benchmarks/results/int8_batching.json.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, ClassVar
from unittest.mock import patch

import click
import numpy as np
import onnx
from onnx import NodeProto, helper

from base_speed import make_base
from replank.data.config import DataConfig
from replank.models.source import open_source
from replank.runtime.evaluate import evaluate
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.predictors import Logits, OnnxPredictor
from replank.runtime.session import open_session
from replank.runtime.timing import random_batch
from replank.system.environment import available_cores, machine, versions
from replank.text.padding import Batch
from replank.text.tokens import Tokens
from replank_export.convert import ExportConfig, export
from replank_export.graph_files import save_graph
from replank_export.int8 import DynamicInt8, Int8Config
from replank_export.int8.decompose import DECOMPOSERS
from replank_export.int8.prepared_graph import LINEAR_OPERATORS, TABLES, PreparedGraph
from replank_export.int8.token_scales import scale_tokens

RESULT = Path(__file__).parent / "results" / "int8_batching.json"
SHAPES = ((1, 16), (1, 128), (8, 128), (32, 32))
TEXTS, ROUNDS, SECONDS = 600, 41, 0.1
ODD = "!" * 200


@dataclass(frozen=True)
class OneScaleInt8(Int8Config):
    """ONNX Runtime's dynamic INT8: one scale over each activation.

    :param after_gelu: whether that after GELU has one scale per token.
    """

    name: ClassVar[str] = "one-scale"
    after_gelu: bool = True

    @contextmanager
    def prepare(self, source: Path, texts: Sequence[Batch] = ()) -> Iterator[PreparedGraph]:
        """With one MatMul for queries, keys and values: their common input is quantized once."""
        attention = {"Attention": packed_attention} if "Attention" in DECOMPOSERS else {}
        with patch.dict(DECOMPOSERS, attention), super().prepare(source, texts) as graph:
            yield graph

    def graph(self, path: Path, texts: Sequence[Batch]) -> PreparedGraph:
        """See :class:`OneScaleGraph`."""
        if self.after_gelu:
            model = onnx.load(str(path))
            scale_tokens(model)
            save_graph(model, path)
        return OneScaleGraph(path, per_channel=self.per_channel, reduce_range=self.reduce_range)

    def ort_config(self) -> dict[str, Any]:
        """ONNX Runtime's quantized operators."""
        return {"is_static": False, "format": "QOperator", "per_channel": self.per_channel}


class OneScaleGraph(PreparedGraph):
    """A graph whose linear layers and tables ONNX Runtime quantizes."""

    def _write(self, target: Path, keep: Sequence[str]) -> None:
        self._quantize_weights(self._path, target, keep, (*LINEAR_OPERATORS, *TABLES))


def packed_attention(node: NodeProto, _graph: object) -> Iterator[NodeProto]:
    """The projection of an ``Attention`` by one MatMul, whose result is split."""
    hidden, weights, bias, mask, *rest = node.input
    settings = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    kept = {name: value for name, value in settings.items() if name in ("num_heads", "mask_filter_value", "scale")}
    projected, biased = f"{node.name}_projected", f"{node.name}_biased"
    parts = [f"{node.name}_{part}" for part in ("query", "key", "value")]
    inputs = [*parts, "", mask, *rest[1:]]
    yield helper.make_node("MatMul", [hidden, weights], [projected], name=projected)
    yield helper.make_node("Add", [projected, bias], [biased], name=biased)
    yield helper.make_node("Split", [biased], parts, name=f"{node.name}_split", axis=-1, num_outputs=3)
    yield helper.make_node(
        "MultiHeadAttention", inputs, node.output[:1], name=node.name, domain="com.microsoft", **kept
    )


WAYS: dict[str, Int8Config] = {"one scale": OneScaleInt8(), "a scale per token": DynamicInt8()}


@click.command()
@click.argument("demo", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--rounds", default=ROUNDS, show_default=True, help="Interleaved rounds of each shape.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, help="Where the JSON goes.")
def main(demo: Path, rounds: int, out: Path) -> None:
    """Compare the graphs of DEMO's model and of BERT-base's shape, and write the result."""
    with tempfile.TemporaryDirectory(prefix="replank-") as scratch:
        folder = Path(scratch)
        make_base(folder / "torch", 6)
        export(open_source(folder / "torch"), folder / "bert", ExportConfig())
        sources = {"demo": demo / "onnx", "BERT-base, 6 layers": folder / "bert"}
        models = {name: load_model(open_source(source)) for name, source in sources.items()}
        graphs = {name: quantized(model, folder / f"{name} graphs") for name, model in models.items()}
        demo_models = {way: with_graph(models["demo"], path) for way, path in graphs["demo"].items()}
        load = os.getloadavg()
        values = {
            "influence": influence(demo_models, demo / "data"),
            "quality": quality(demo_models, demo / "data"),
            "speed": [
                {"model": name, **speed(model, graphs[name], shape, threads, rounds)}
                for threads in sorted({1, available_cores()})
                for name, model in models.items()
                for shape in SHAPES
            ],
            "load_average": {"before": load, "after": os.getloadavg()},
            "machine": asdict(machine()),
            "versions": versions(),
        }
    out.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    cells: Any = values["speed"]
    for cell in cells:
        click.echo(json.dumps({key: value for key, value in cell.items() if key != "ratios"}))
    sys.stdout.write(f"written to {out}\n")


def quantized(model: Model, folder: Path) -> dict[str, Path]:
    """The graphs of a model: in fp32, and in INT8 in each way."""
    folder.mkdir()
    graphs = {"fp32": model.source.model_file}
    for way, config in WAYS.items():
        graphs[way] = folder / f"{way}.onnx"
        with config.prepare(model.source.model_file) as graph:
            graph.write(graphs[way])
    return graphs


def with_graph(model: Model, path: Path, threads: int | None = None) -> Model:
    """A model with another graph."""
    return replace(model, predictor=OnnxPredictor(open_session(path, threads=threads), model.task.kind.output))


def influence(models: dict[str, Model], data: Path) -> dict[str, Any]:
    """The largest change of a probability by a batch, and the number of labels that change, of each graph."""
    texts = DataConfig(data=data).load(models["fp32"].task).split("test").first[:TEXTS]
    found: dict[str, Any] = {"texts": len(texts)}
    for way, model in models.items():
        *tokens, odd = model.text_encoder.tokenize([*texts, ODD])
        alone = together(model, [[text] for text in tokens])
        batches = {
            "batches of 16": together(model, [tokens[start : start + 16] for start in range(0, len(tokens), 16)]),
            "beside the odd text": together(model, [[text, odd] for text in tokens])[::2],
        }
        found[way] = {
            name: {
                "largest": float(np.abs(other - alone).max()),
                "labels": int((other.argmax(axis=1) != alone.argmax(axis=1)).sum()),
            }
            for name, other in batches.items()
        }
    return found


def together(model: Model, batches: Sequence[Sequence[Tokens]]) -> Logits:
    """The probabilities of the texts of all batches."""
    logits = np.concatenate([model.predictor(model.text_encoder.pad(batch)) for batch in batches])
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def quality(models: dict[str, Model], data: Path) -> dict[str, dict[str, float]]:
    """The metrics of each graph on the test split."""
    dataset = DataConfig(data=data).load(models["fp32"].task)
    return {way: evaluate(model, dataset, "test").metrics for way, model in models.items()}


def speed(model: Model, graphs: dict[str, Path], shape: tuple[int, int], threads: int, rounds: int) -> dict[str, Any]:
    """The times of the two INT8 graphs at one shape, and the ratio of each round: more than 1 is slower per token."""
    batch = random_batch(model, *shape, seed=0)
    predictors = {way: with_graph(model, graphs[way], threads).predictor for way in WAYS}
    clock = time.process_time_ns if threads == 1 else time.perf_counter_ns
    samples: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way, predictor in sorted(predictors.items(), reverse=bool(number % 2)):
            samples[way].append(fastest(predictor, batch, clock))
    ratios = [samples["a scale per token"][number] / samples["one scale"][number] for number in range(rounds)]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return {
        "batch_size": shape[0],
        "length": shape[1],
        "threads": threads,
        "ms": {way: median(values) for way, values in samples.items()},
        "ratio": {"median": middle, "quartiles": [low, high]},
        "ratios": ratios,
    }


def fastest(run: Callable[[Batch], object], batch: Batch, clock: Callable[[], int]) -> float:
    """Milliseconds of the fastest of several calls after one that is not counted."""
    run(batch)
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < 2 or time.perf_counter() < end:
        start = clock()
        run(batch)
        times.append((clock() - start) / 1e6)
    return min(times)


if __name__ == "__main__":
    main()
