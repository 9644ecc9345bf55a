"""The loss of quality of INT8 on trained models: each scheme, without and with accuracy control.

    python benchmarks/int8_quality.py --data DATA --encoder minilm NAME=FOLDER …

Each FOLDER is a fine-tuned torch model (a successor of `benchmarks/compression.py`, say), and NAME the folder of its
task below DATA. Linear layers to keep in floating point are chosen on dev; the reported metrics are those of the test
split. The result is written to benchmarks/results/int8_quality_ENCODER.json.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.int8_facts import Int8Facts
from replank.models.source import open_source
from replank.system.environment import machine, versions
from replank.system.errors import QualityGateError
from replank.system.typed_json import json_values
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8, Int8Config, StaticInt8
from replank_export.quantize import quantize

RESULTS = Path(__file__).parent / "results"
NO_CONTROL = {"max_drop": 1.0, "allow_slower": True}
WAYS: dict[str, Int8Config] = {
    "dynamic": DynamicInt8(**NO_CONTROL),  # type: ignore[arg-type]
    "static, minmax": StaticInt8(calibration="minmax", **NO_CONTROL),  # type: ignore[arg-type]
    "static, percentile": StaticInt8(calibration="percentile", **NO_CONTROL),  # type: ignore[arg-type]
    "static, entropy": StaticInt8(calibration="entropy", **NO_CONTROL),  # type: ignore[arg-type]
}
CONTROLLED = ("dynamic", "static, minmax")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with one folder per task.")
@click.option("--encoder", required=True, help="What the models were made of, in the result's name.")
@click.argument("models", nargs=-1, required=True)
def main(data: Path, encoder: str, models: tuple[str, ...]) -> None:
    """Quantize each of MODELS (NAME=FOLDER) in every way, and write the losses."""
    rows = []
    for name, folder in (model.split("=", 1) for model in models):
        with tempfile.TemporaryDirectory(prefix="replank-") as scratch:
            rows += costs(name, Path(folder), DataConfig(data=data / name), Path(scratch))
    values = {"models": rows, "machine": asdict(machine()), "versions": versions()}
    (RESULTS / f"int8_quality_{encoder}.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def costs(name: str, folder: Path, data: DataConfig, scratch: Path) -> list[dict[str, Any]]:
    """One model in every way."""
    onnx = export(open_source(folder), scratch / "onnx", ExportConfig(), data)
    ways = {(way, "none"): config for way, config in WAYS.items()}
    ways |= {(way, "0.5 points"): replace(WAYS[way], max_drop=0.005) for way in CONTROLLED}
    rows = []
    for number, ((way, control), config) in enumerate(ways.items()):
        row: dict[str, Any] = {"task": name, "way": way, "control": control}
        try:
            row |= facts(quantize(open_source(onnx.path), scratch / str(number), config, data))
        except QualityGateError as error:
            row["refused"] = error.message
        rows.append(row)
        click.echo(json.dumps(row), err=True)
    return rows


def facts(artifact: Artifact) -> dict[str, Any]:
    """Quality, speed and size of a quantized model."""
    quality, facts, headline = (
        artifact.manifest.quality,
        artifact.manifest.made_by.facts,
        artifact.manifest.task.headline,
    )
    if not (quality and quality.source_metrics and isinstance(facts, Int8Facts)):
        raise TypeError(f"{artifact.path} is not what quantize makes with data")
    return {
        "split": quality.split,
        "rows": quality.rows,
        "metric": headline,
        "fp32": quality.source_metrics[headline],
        "int8": quality.metrics[headline],
        "kept_in_float": [entry.node for entry in facts.kept_in_float],
        "speed": json_values(facts.speed),
        "bytes": artifact.weights.bytes,
    }


if __name__ == "__main__":
    main()
