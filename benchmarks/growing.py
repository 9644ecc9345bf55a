"""Growing against training the whole encoder: held-out loss for FLOPs and seconds, and one task at the end.

    python benchmarks/growing.py --data DATA --seed 1

DATA holds a folder for each task; their texts together, without labels, are what is pretrained on. Every cell has the
same steps, batches and targets, and ends with the same encoder; what differs is how it grows. A cell that is done is
not done again: each is a JSON in benchmarks/results/growing. Stopped, the same command resumes.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from compression import write_splits
from replank.data.demo import demo_encoder
from replank.data.tables import Table, read_table
from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST, TRAINING

RESULTS = Path(__file__).parent / "results" / "growing"
TASK = "sst2_sent"
# Texts of these columns; those of the task that is judged on are left out of the texts that are held out.
_COLUMNS = ("sentence", "sentence1", "sentence2", "text", "passage")
_HELD_OUT = 300
_ENCODER = {
    "model_type": "bert",
    "hidden_size": 128,
    "num_hidden_layers": 12,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "max_position_embeddings": 128,
}
STEPS = 1200
_RATE = "learning_rate=1e-3,warmup=0.05"
# A guess, for the paper's schedule was not published: 30 % and 40 % of the steps small, 30 % whole.
_PARTS = (0.3, 0.4, 0.3)
_SMALL: dict[str, tuple[str, str]] = {
    "full": ("", ""),
    "compound": ("layers=3,width=256,pooling=2", "layers=6,pooling=2"),
    "depth": ("layers=3", "layers=6"),
    "length": ("pooling=2", "pooling=2"),
    "width": ("width=128", "width=256"),
}
CELLS = tuple(_SMALL)


def stages(cell: str, steps: int) -> list[str]:
    """The stages of a cell, as `replank pretrain` takes them.

    In the small stages the rate stays; in the last one, and in the only one of a cell that does not grow, it falls.
    """
    if cell == "full":
        return [f"steps={steps},{_RATE}"]
    first, second, last = (round(part * steps) for part in _PARTS)
    small, middle = _SMALL[cell]
    return [
        f"steps={first},{small},{_RATE},decay=constant",
        f"steps={second},{middle},{_RATE},decay=constant",
        f"steps={last},{_RATE}",
    ]


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the tasks' folders.")
@click.option("--seed", "seeds", type=int, multiple=True, default=(1, 2, 3), show_default=True)
@click.option("--cell", "cells", type=click.Choice(CELLS), multiple=True, help="All if not given.")
@click.option("--steps", type=int, default=STEPS, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=Path("growing-work"), show_default=True)
def main(data: Path, seeds: Iterable[int], cells: Iterable[str], steps: int, work: Path) -> None:
    """Pretrain and fine-tune the cells that are not done yet."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    texts, task = work / "texts", work / TASK
    if not (texts / "dev.jsonl").exists():
        write_texts(data, texts)
        write_splits(data / TASK, task, None)
    encoder = work / "encoder.json"
    encoder.write_text(json.dumps(_ENCODER), encoding="utf-8")
    for seed in seeds:
        for cell in cells or CELLS:
            result = RESULTS / f"{cell}-{seed}.json"
            if not result.exists():
                result.write_text(json.dumps(run_cell(cell, seed, steps, work), indent=1) + "\n", encoding="utf-8")
                click.echo(f"{cell}, seed {seed}: done", err=True)


def write_texts(data: Path, folder: Path) -> None:
    """The different texts of all tasks, in an order that is fixed for ever; one in 300 is held out."""
    folder.mkdir(parents=True, exist_ok=True)
    judged = {text for table in _tables(data / TASK, ("dev", "test")) for text in _texts_of(table)}
    found = {
        text for task in sorted(data.iterdir()) for table in _tables(task, ("train",)) for text in _texts_of(table)
    }
    ordered = sorted(found - judged, key=lambda text: hashlib.sha256(text.encode()).digest())
    splits = {"dev": ordered[::_HELD_OUT], "train": [text for n, text in enumerate(ordered) if n % _HELD_OUT]}
    for split, texts in splits.items():
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")


def _tables(task: Path, splits: Iterable[str]) -> Iterator[Table]:
    yield from (read_table(path) for split in splits if (path := task / f"{split}.tsv").exists())


def _texts_of(table: Table) -> Iterator[str]:
    """Texts of three words or more."""
    for column in set(_COLUMNS) & set(table.columns):
        yield from (str(text) for text in table.column(column) if len(str(text).split()) > 2)


def run_cell(cell: str, seed: int, steps: int, work: Path) -> dict[str, Any]:
    """Pretrain an encoder, fine-tune it, and keep what both cost and brought."""
    grown, tuned = work / f"{cell}-{seed}", work / f"{cell}-{seed}-{TASK}"
    _replank(
        grown,
        *("pretrain", work / "encoder.json", grown, "--tokenizer", demo_encoder(), "--data", work / "texts"),
        *(part for stage in stages(cell, steps) for part in ("--stage", stage)),
        *("--batch-size", 8, "--max-length", 128, "--evaluate-every", 120, "--seed", seed),
    )
    _replank(
        tuned,
        *("finetune", grown, tuned, "--dataset", TASK, "--data", work / TASK, "--max-length", 64),
        *("--epochs", 2, "--learning-rate", "3e-4", "--seed", seed),
    )
    artifact, judged = Artifact.open(grown), Artifact.open(tuned)
    made_by, facts = artifact.manifest.to_json()["made_by"], artifact.manifest.made_by.facts
    return {
        "cell": cell,
        "seed": seed,
        **{
            name: made_by[name]
            for name in ("config", "stages", "stage_seconds", "processor_seconds", "versions", "machine", "finished_at")
        },
        "predicted_speedup": getattr(facts, "predicted_speedup"),  # noqa: B009 - of pretraining's facts
        "curve": [entry for entry in _curve(grown) if "eval_loss" in entry],
        "task": TASK,
        "metrics": judged.manifest.to_json()["quality"]["metrics"],
    }


def _curve(folder: Path) -> list[dict[str, Any]]:
    curve: list[dict[str, Any]] = json.loads((folder / TRAINING).read_text(encoding="utf-8"))["curve"]
    return curve


def _replank(out: Path, *arguments: object) -> None:
    """Run a command on one thread, unless what it makes is there; what it prints goes into a file beside."""
    if (out / MANIFEST).exists():
        return
    command = [str(Path(sys.executable).with_name("replank")), *map(str, arguments)]
    with out.with_name(f"{out.name}.log").open("a", encoding="utf-8") as log:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, stdout=log, stderr=log, env=environment, check=True)


if __name__ == "__main__":
    main()
