"""Predictions in the files that GLUE's leaderboard takes (gluebenchmark.com/submit)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from replank.data.examples import Dataset
from replank.runtime.model import Model
from replank.system.errors import DataError, UsageError
from replank.system.files import replace_file
from replank.tasks.glue import GLUE, GlueTask


def write_predictions(
    model: Model, data: Dataset, folder: Path, *, progress: Callable[[int], None] | None = None
) -> list[Path]:
    """Answer the test split (MNLI's: both, and the diagnostics), a file each: ``index`` and ``prediction``.

    :param folder: made if it is not there; files of other tasks in it are left alone.
    :raises UsageError: the task is none of GLUE's nine.
    :raises DataError: the data has no test split, or the model's labels are not the task's.
    """
    name = data.task.name
    if name not in GLUE:
        raise UsageError(f"GLUE's leaderboard has no task {name!r}", hint=f"it has {', '.join(GLUE)}")
    glue = GLUE[name]
    present = {split: file for split, file in glue.files.items() if split in data.splits}
    if "test" not in present:
        data.split("test")
    answers = _answer_names(data.task.labels, name, glue)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for split, file in present.items():
        examples = data.split(split)
        logits = model.logits(examples.first, examples.second, progress=progress)
        found = data.task.decide(logits)
        if glue.labels:
            lines = [answers[int(index)] for index in found]
        else:
            lines = [f"{value:.3f}" for value in np.clip(found, 0, 5)]
        rows = ["index\tprediction", *(f"{index}\t{line}" for index, line in enumerate(lines))]
        path = folder / f"{file}.tsv"
        replace_file(path, "\n".join(rows) + "\n")
        written.append(path)
    return written


def _answer_names(labels: tuple[str, ...], name: str, task: GlueTask) -> list[str]:
    """The name that the leaderboard wants for each of the model's outputs.

    :raises DataError: the model's labels are neither the task's names nor their numbers.
    """
    numbers = [str(index) for index in range(len(task.labels))]
    if set(labels) == set(task.labels):
        indices = [task.labels.index(label) for label in labels]
    elif list(labels) == numbers:
        indices = list(range(len(labels)))
    else:
        raise DataError(
            f"the model's labels are {', '.join(labels)}; those of {name} are {', '.join(task.labels)}",
            hint=f"fine-tune with `dataset={name}`, so that the labels have GLUE's names",
        )
    return [task.labels[index] if task.hands_in_names else str(index) for index in indices]
