"""Every method of compression at equal steps, from the same predecessor, in the same order of data.

    python benchmarks/compression.py --data DATA --encoder e5=ENCODER --suite main --seed 1 --task sst2_sent --task mrpc

DATA holds a folder of train.tsv and dev.tsv for each task. The best checkpoint is chosen on a tenth of the training
split; reported is the official dev split, which no training has seen. A cell that is done is not done again: each is a
JSON in benchmarks/results/compression, with its curve, seed, versions and machine. Stopped, the same command resumes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import click

from replank.data.table_file import value_text
from replank.data.tables import read_table
from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST, TRAINING
from replank.models.source import open_source
from replank.system.environment import available_cores
from replank_compress.methods import METHODS

RESULTS = Path(__file__).parent / "results" / "compression"
_HELD_BACK = 10


@dataclass(frozen=True)
class Cell:
    """One model of the table.

    :param encoder: short name of the encoder.
    :param task: name of the data's folder.
    :param method: ``predecessor``, or a key of a suite.
    :param seed: seed of the training.
    """

    encoder: str
    task: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """The name of the result's file, without its suffix."""
        return f"{self.encoder}-{self.task}-{self.method}-{self.seed}"


# An encoder's name and folder, a seed, a task.
Chain = tuple[tuple[str, str], int, str]
PREDECESSOR = "predecessor"
# Subsets of GLUE's tasks that have their metrics and lengths. (`qqp_10k` is not here: the defaults were chosen on it.)
GLUE_NAMES = {"qnli_10k": "qnli", "mnli_10k": "mnli"}
# The options of `replank compress` for each row of a suite; ENCODER stands for the pretrained encoder.
SUITES: dict[str, dict[str, tuple[str, ...]]] = {
    "main": {
        **{method: ("--method", method) for method in METHODS},
        "truncate-pretrained": ("--method", "truncate", "--init-from", "ENCODER"),
    },
    "schedule": {
        "constant": ("--schedule", "constant"),
        "anti-curriculum": ("--schedule", "anti-curriculum"),
        "no-second-phase": ("--ramp", "1", "--second-phase", "none"),
    },
    "second-phase": {
        "second-phase-layers": ("--second-phase", "layers"),
        "second-phase-head": ("--second-phase", "head"),
    },
    # How much of the difference comes from the start, and how much from the method.
    "start": {
        "theseus-first": ("--init-layers", "first"),
        **{
            f"{method}-spread": ("--method", method, "--init-layers", "spread")
            for method in METHODS
            if method != "theseus"
        },
    },
    # Fine-tuning a predecessor and replacing its layers run about as many layers as 12 epochs of the small model alone.
    "compute": {
        "truncate-pretrained-12-epochs": ("--method", "truncate", "--init-from", "ENCODER", "--epochs", "12"),
    },
    "depth": {
        f"{method}-{layers}-layers": ("--layers", layers, "--method", method)
        for layers, method in product(("4", "3"), ("theseus", "truncate"))
    },
}


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the tasks' folders.")
@click.option("--encoder", "encoders", multiple=True, required=True, help="NAME=FOLDER or NAME=HUB_NAME.")
@click.option("--task", "tasks", multiple=True, required=True, help="A folder below --data.")
@click.option("--seed", "seeds", type=int, multiple=True, default=(1,), show_default=True)
@click.option("--suite", type=click.Choice(list(SUITES)), default="main", show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=Path("compression-work"), show_default=True)
@click.option("--jobs", type=int, default=available_cores(), show_default=True, help="Trainings side by side.")
def main(
    data: Path, encoders: Iterable[str], tasks: Iterable[str], seeds: Iterable[int], suite: str, work: Path, jobs: int
) -> None:
    """Train the models of a suite that are not done yet."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    folders = dict(item.split("=", 1) for item in encoders)
    tasks = list(tasks)
    for task in tasks:
        write_splits(data / task, work / "data" / task)
    threads = str(max(1, available_cores() // jobs))
    # Method by method, so that an unfinished table can be compared.
    chains = list(product(folders.items(), seeds, tasks))
    running: dict[tuple[str, Chain], Future[None]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for method, chain in product((PREDECESSOR, *SUITES[suite]), chains):
            flags = SUITES[suite].get(method, ())
            before = running.get((PREDECESSOR, chain))
            running[method, chain] = pool.submit(run_cell, chain, method, flags, work, threads, before)
    if errors := [error for future in running.values() if (error := future.exception())]:
        raise errors[0]


def run_cell(
    chain: Chain, method: str, flags: tuple[str, ...], work: Path, threads: str, before: Future[None] | None
) -> None:
    """Train one model, unless it is done, and keep its result.

    :param before: the training of its predecessor.
    """
    if before is not None:
        before.result()
    (name, folder), seed, task = chain
    cell, predecessor = Cell(name, task, method, seed), Cell(name, task, PREDECESSOR, seed)
    out = work / cell.name
    if method == PREDECESSOR:
        _do(cell, ("finetune", folder, str(out)), out, work, threads)
    else:
        flags = tuple(folder if flag == "ENCODER" else flag for flag in flags)
        _do(cell, ("compress", str(work / predecessor.name), str(out), *flags), out, work, threads)


def write_splits(source: Path, target: Path) -> None:
    """A task's data with a dev split of its own, cut from the training split; the official one becomes ``test``."""
    target.mkdir(parents=True, exist_ok=True)
    train, dev = (read_table(source / f"{split}.tsv") for split in ("train", "dev"))
    splits = {
        "train": [row for index, row in enumerate(train.rows) if index % _HELD_BACK != _HELD_BACK - 1],
        "dev": train.rows[_HELD_BACK - 1 :: _HELD_BACK],
        "test": dev.rows,
    }
    for split, rows in splits.items():
        lines = ["\t".join(map(value_text, row)) for row in (train.columns, *rows)]
        (target / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def result_of(cell: Cell, artifact: Artifact) -> dict[str, Any]:
    """The result of a cell: the parts of its manifest on quality and cost."""
    manifest = artifact.manifest.to_json()
    made_by, quality, parent = manifest["made_by"], manifest["quality"], manifest["parent"]
    wanted = ("config", "steps", "layer_steps", "best_dev", "versions", "machine", "finished_at")
    training = json.loads((artifact.path / TRAINING).read_text(encoding="utf-8"))
    return {
        **asdict(cell),
        "layers": open_source(artifact.path).layers,
        "rows": quality["rows"],
        "metrics": quality["metrics"],
        "digest": artifact.manifest.digest,
        "parent": parent["digest"],
        **{name: made_by[name] for name in wanted},
        **training,
    }


def _do(cell: Cell, command: tuple[str, ...], out: Path, work: Path, threads: str) -> None:
    """Train a cell, unless it is done."""
    result = RESULTS / f"{cell.name}.json"
    is_needed = not result.exists() or (cell.method == PREDECESSOR and not (out / MANIFEST).exists())
    if not is_needed:
        return
    if not (out / MANIFEST).exists():
        click.echo(f"{cell.name}: begins", err=True)
        data = (
            "--dataset",
            GLUE_NAMES.get(cell.task, cell.task),
            "--data",
            str(work / "data" / cell.task),
            "--seed",
            str(cell.seed),
        )
        program = str(Path(sys.executable).with_name("replank"))
        with (work / f"{cell.name}.log").open("a", encoding="utf-8") as log:
            environment = os.environ | {"OMP_NUM_THREADS": threads}
            subprocess.run([program, *command, *data], stdout=log, stderr=log, env=environment, check=True)
    values = result_of(cell, Artifact.open(out))
    result.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    shown = ", ".join(f"{name} {value:.4f}" for name, value in values["metrics"].items())
    click.echo(f"{cell.name}: {shown}", err=True)


if __name__ == "__main__":
    main()
