"""The answers of a cell, short enough to be kept: a digit for each row, or a number of three decimals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from replank.runtime.evaluate import RowAnswers
from replank.system.typed_json import json_values
from replank.tasks.metrics import Decisions
from replank.tasks.task import Task


def encode(decisions: Decisions) -> str | list[float]:
    """Decisions of a task with ten labels or fewer, or with numbers."""
    if isinstance(decisions, list):
        raise TypeError("tasks with an answer to each word have no table here")
    if np.issubdtype(decisions.dtype, np.floating):
        return [round(float(value), 3) for value in decisions]
    return "".join(str(int(value)) for value in decisions)


def decode(values: str | list[float]) -> Decisions:
    """The decisions that :func:`encode` wrote."""
    if isinstance(values, str):
        return np.array([int(digit) for digit in values], dtype=np.int64)
    return np.array(values, dtype=np.float32)


def write_rows(results: Path, task: str, answers: RowAnswers) -> None:
    """Keep a task and its labels row by row beside its cells; no text.

    :raises ValueError: there are others already.
    """
    path = _rows_path(results, task)
    values = {"task": json_values(answers.task), "data": answers.data, "truth": encode(answers.truth)}
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != values:
        raise ValueError(f"{path} is of other rows: the cells of {task} are not comparable")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values) + "\n", encoding="utf-8")


def read_rows(results: Path, task: str, cells: Sequence[dict[str, Any]]) -> list[RowAnswers]:
    """The answers of some cells of one task, in their order."""
    values = json.loads(_rows_path(results, task).read_text(encoding="utf-8"))
    described, truth = Task.from_json(values["task"]), decode(values["truth"])
    return [
        RowAnswers(
            model=f"{cell['encoder']}-{task}-{cell['method']}-{cell['seed']}",
            task=described,
            split="test",
            data=values["data"],
            predicted=decode(cell["answers"]),
            truth=truth,
        )
        for cell in cells
    ]


def _rows_path(results: Path, task: str) -> Path:
    return results / "rows" / f"{task}.json"
