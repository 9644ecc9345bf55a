"""Every method of compression at equal steps, from the same predecessor, in the same order of data.

    python benchmarks/compression.py --data DATA --encoder e5=ENCODER --suite main --seed 1 --task sst2_sent --task mrpc

DATA holds a folder for each task: `train` and `dev`, and a `test` that has labels if there is one. The best checkpoint
is chosen on a tenth of the training split; reported is `test`, or else the official `dev`, which no training has seen.
A cell that is done is not done again: each is a JSON in benchmarks/results, with its answer to each row, its curve,
seed, versions and machine. Stopped, the same command resumes.
"""

from __future__ import annotations

import csv
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

from compression_answers import encode, write_rows
from compression_suites import PREDECESSOR, SUITES
from replank.data.table_file import value_text
from replank.data.tables import Table, read_table
from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST, TRAINING
from replank.models.source import open_source
from replank.resampling.answers_file import answers_of
from replank.runtime.evaluate import RowAnswers
from replank.system.environment import available_cores

RESULTS = Path(__file__).parent / "results"
_HELD_BACK = 10
_SUFFIXES = (".tsv", ".csv")
# Subsets of GLUE's tasks that have their metrics and lengths.
GLUE_NAMES = {"qnli_10k": "qnli", "mnli_10k": "mnli", "qqp_10k": "qqp"}


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


@dataclass(frozen=True)
class Plan:
    """Where cells are made.

    :param work: folder of the models and of the data as it is split here.
    :param results: folder of the results.
    :param threads: of each training.
    """

    work: Path
    results: Path
    threads: int

    def data(self, task: str) -> Path:
        """The folder of a task's data."""
        return self.work / "data" / task


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the tasks' folders.")
@click.option("--encoder", "encoders", multiple=True, required=True, help="NAME=FOLDER or NAME=HUB_NAME.")
@click.option("--task", "tasks", multiple=True, required=True, help="A folder below --data.")
@click.option("--seed", "seeds", type=int, multiple=True, default=(1,), show_default=True)
@click.option("--suite", type=click.Choice(list(SUITES)), default="main", show_default=True)
@click.option("--method", "methods", multiple=True, help="Methods of the suite; all if not given.")
@click.option("--rows", type=int, help="Training rows; all if not given.")
@click.option("--results", default="compression", show_default=True, help="Folder in benchmarks/results.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("compression-work"), show_default=True)
@click.option("--jobs", type=int, default=available_cores(), show_default=True, help="Trainings side by side.")
def main(
    data: Path,
    encoders: Iterable[str],
    tasks: Iterable[str],
    seeds: Iterable[int],
    suite: str,
    methods: Iterable[str],
    rows: int | None,
    results: str,
    work: Path,
    jobs: int,
) -> None:
    """Train the models of a suite that are not done yet."""
    plan = Plan(work, RESULTS / results, max(1, available_cores() // jobs))
    plan.results.mkdir(parents=True, exist_ok=True)
    folders = dict(item.split("=", 1) for item in encoders)
    tasks = list(tasks)
    for task in tasks:
        write_splits(data / task, plan.data(task), rows)
    # Method by method, so that an unfinished table can be compared.
    chains = list(product(folders.items(), seeds, tasks))
    running: dict[tuple[str, Chain], Future[None]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        wanted = [PREDECESSOR, *(method for method in methods or SUITES[suite] if method != PREDECESSOR)]
        for method, chain in product(wanted, chains):
            flags = SUITES[suite].get(method, ())
            before = running.get((PREDECESSOR, chain))
            running[method, chain] = pool.submit(run_cell, plan, chain, method, flags, before)
    if errors := [error for future in running.values() if (error := future.exception())]:
        raise errors[0]


def run_cell(plan: Plan, chain: Chain, method: str, flags: tuple[str, ...], before: Future[None] | None) -> None:
    """Train one model, unless it is done, and keep its result.

    :param before: the training of its predecessor.
    """
    if before is not None:
        before.result()
    (name, folder), seed, task = chain
    cell, predecessor = Cell(name, task, method, seed), Cell(name, task, PREDECESSOR, seed)
    if method == PREDECESSOR:
        _do(plan, cell, ("finetune", folder), flags)
    else:
        flags = tuple(folder if flag == "ENCODER" else flag for flag in flags)
        _do(plan, cell, ("compress", str(plan.work / predecessor.name)), flags)


def write_splits(source: Path, target: Path, rows: int | None) -> None:
    """A task's data with a dev split of its own, cut from the training split.

    What the models are scored on becomes ``test``: the official test split, or else the official dev split.

    :param rows: the first rows of the training split, or all.
    """
    target.mkdir(parents=True, exist_ok=True)
    train = _table(source, "train") or sys.exit(f"{source} has no training split")
    scored = _table(source, "test") or _table(source, "dev") or sys.exit(f"{source} has no test or dev split")
    kept = train.rows[:rows]
    splits = {
        "train": [row for index, row in enumerate(kept) if index % _HELD_BACK != _HELD_BACK - 1],
        "dev": kept[_HELD_BACK - 1 :: _HELD_BACK],
        "test": scored.rows,
    }
    for split, chosen in splits.items():
        with (target / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([train.columns, *(map(value_text, row) for row in chosen)])


def _table(folder: Path, split: str) -> Table | None:
    path = next((path for suffix in _SUFFIXES if (path := folder / f"{split}{suffix}").exists()), None)
    return None if path is None else read_table(path)


def result_of(cell: Cell, artifact: Artifact, answers: RowAnswers) -> dict[str, Any]:
    """The result of a cell: its answers, and the parts of its manifest on quality and cost."""
    manifest = artifact.manifest.to_json()
    made_by, quality, parent = manifest["made_by"], manifest["quality"], manifest["parent"]
    wanted = (
        "config",
        "steps",
        "layer_steps",
        "best_dev",
        "unexplained",
        "versions",
        "machine",
        "finished_at",
    )
    training = json.loads((artifact.path / TRAINING).read_text(encoding="utf-8"))
    return {
        **asdict(cell),
        "layers": open_source(artifact.path).layers,
        "rows": quality["rows"],
        "metrics": quality["metrics"],
        "digest": artifact.manifest.digest,
        "parent": parent["digest"],
        **{name: made_by[name] for name in wanted if name in made_by},
        "curve": training["curve"],
        "answers": encode(answers.predicted),
    }


def _do(plan: Plan, cell: Cell, command: tuple[str, ...], flags: tuple[str, ...] = ()) -> None:
    """Train a cell, unless it is done."""
    result, out, data = plan.results / f"{cell.name}.json", plan.work / cell.name, plan.data(cell.task)
    is_needed = not result.exists() or (cell.method == PREDECESSOR and not (out / MANIFEST).exists())
    if not is_needed:
        return
    name = GLUE_NAMES.get(cell.task, cell.task)
    if not (out / MANIFEST).exists():
        click.echo(f"{cell.name}: begins", err=True)
        asked = ("--dataset", name, "--data", str(data), "--seed", str(cell.seed))
        program = str(Path(sys.executable).with_name("replank"))
        _train([program, *command, str(out), *flags, *asked], plan.work / cell.name, plan.threads)
    artifact = Artifact.open(out)
    answers = answers_of(artifact)
    if answers is None:
        raise ValueError(f"{out} kept no answers")
    write_rows(plan.results, cell.task, answers)
    values = result_of(cell, artifact, answers) | {"processor_seconds": _processor_seconds(plan.work / cell.name)}
    result.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    shown = ", ".join(f"{name} {value:.4f}" for name, value in values["metrics"].items())
    click.echo(f"{cell.name}: {shown}", err=True)


def _train(command: list[str], out: Path, threads: int) -> None:
    """Run a training, with what it prints, and what it costs, in files beside its folder."""
    log, cost = out.with_name(f"{out.name}.log"), out.with_name(f"{out.name}.cost")
    is_resumed = log.exists()
    with log.open("a", encoding="utf-8") as file:
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    if not is_resumed:
        cost.write_text(str(round(usage.ru_utime + usage.ru_stime, 1)), encoding="utf-8")


def _processor_seconds(out: Path) -> float | None:
    """What a training cost, on however busy a machine; ``None`` of one that was interrupted."""
    cost = out.with_name(f"{out.name}.cost")
    return float(cost.read_text(encoding="utf-8")) if cost.exists() else None


if __name__ == "__main__":
    main()
