"""What an encoder in integers keeps of a trained model: made after training, and fine-tuned in integers.

    python benchmarks/integer_quality.py DATA WORK --model mrpc=FOLDER --model sst2=FOLDER

Each FOLDER is a fine-tuned torch model, and its name that of a GLUE data set, whose files lie in the folder of the same
name below DATA. The steps are those of

    replank quantize FOLDER WORK/mrpc-after --scheme integer --dataset mrpc --data DATA/mrpc
    replank finetune FOLDER WORK/mrpc-trained --integer --dataset mrpc --data DATA/mrpc
    replank quantize WORK/mrpc-trained WORK/mrpc-during --scheme integer --dataset mrpc --data DATA/mrpc

What lies in WORK is not made again. The result is written to benchmarks/results/integer_quality.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

import replank
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.int8_facts import Int8Facts
from replank.models.manifest import MANIFEST
from replank.system.environment import machine, versions
from replank_compress.integer.config import IntegerFinetuneConfig
from replank_export.integer.config import IntegerInt8

RESULT = Path(__file__).parent / "results" / "integer_quality.json"


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(path_type=Path))
@click.option("--model", "models", multiple=True, required=True, help="NAME=FOLDER")
@click.option("--seed", default=1, show_default=True)
def main(data: Path, work: Path, models: tuple[str, ...], seed: int) -> None:
    """Make what is not made yet of each model, and keep its metrics."""
    rows = [
        row_of(name, Path(folder), DataConfig(dataset=name, data=data / name), work, seed)
        for name, folder in (model.split("=", 1) for model in models)
    ]
    values = {"models": rows, "machine": asdict(machine()), "versions": versions()}
    RESULT.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def row_of(name: str, folder: Path, data: DataConfig, work: Path, seed: int) -> dict[str, Any]:
    """The metrics of a model in fp32 and in integers, on the held-out split."""

    def quantized(source: Path, out: Path) -> Artifact:
        return once(out, lambda: replank.quantize(source, out, IntegerInt8(max_drop=1.0), data=data))

    after = quantized(folder, work / f"{name}-after")
    trained = work / f"{name}-trained"
    once(trained, lambda: replank.finetune(folder, trained, IntegerFinetuneConfig(seed=seed), data=data))
    during = quantized(trained, work / f"{name}-during")
    facts = after.manifest.made_by.facts_of(Int8Facts).integer
    assert facts is not None  # noqa: S101 - quantize with this scheme made it
    return {
        "task": name,
        "rows": after.manifest.to_json()["quality"]["rows"],
        "fp32": after.manifest.to_json()["quality"]["source_metrics"],
        "after_training": metrics(after),
        "during_training": metrics(during),
        "compared": facts.compared,
    }


def metrics(artifact: Artifact) -> dict[str, float]:
    """Those of the held-out split."""
    found: dict[str, float] = artifact.manifest.to_json()["quality"]["metrics"]
    return found


def once(out: Path, make: Callable[[], Artifact]) -> Artifact:
    """An artifact, which is made if it is not there."""
    return Artifact.open(out) if (out / MANIFEST).exists() else make()


if __name__ == "__main__":
    main()
