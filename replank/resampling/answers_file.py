"""Answers per row in a file: of one model, on one split, with the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.data.examples import Dataset
from replank.models.artifact import Artifact
from replank.models.manifest import ROW_ANSWERS
from replank.models.quality import Quality
from replank.runtime.evaluate import Progress, RowAnswers, answer_rows, quality_of
from replank.runtime.model import Model
from replank.system.errors import DataError, FieldError, ReplankError, UsageError
from replank.system.files import replace_file
from replank.system.json_files import read_json
from replank.system.typed_json import dataclass_from_json, json_values
from replank.tasks.glue import GLUE
from replank.tasks.groups import Groups
from replank.tasks.metrics import Decisions
from replank.tasks.task import Task

SCHEMA = 1
# Numbers are kept in 32 bits, and so are tokens.
_LARGEST_NUMBER = float(np.finfo(np.float32).max)
_MOST_TOKENS = 2**31


def is_answers_file(name: str | Path) -> bool:
    """Whether a name is that of a file of answers, there or not, and not that of a model."""
    path = Path(name)
    return path.is_file() or (path.suffix == ".json" and not path.is_dir())


def require_free(path: Path, *, force: bool) -> None:
    """Refuse a place where no answers can be written, before they are computed.

    :param force: replace a file that lies there.
    :raises UsageError: a file lies there, something else does, or the folder for it does not exist.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} exists and is no file", hint="choose another `answers`")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {path.parent}")
    if path.exists() and not force:
        raise UsageError(f"{path} exists", hint="choose another `answers`, or replace it with `force=True`")


def write_answers(path: Path, answers: RowAnswers, *, force: bool = False) -> None:
    """Write answers as one line of JSON.

    :param force: replace a file that lies there.
    :raises UsageError: as :func:`require_free`.
    :raises ReplankError: the file cannot be written.
    """
    require_free(path, force=force)
    values = {
        "schema": SCHEMA,
        "model": answers.model,
        "task": json_values(answers.task),
        "split": answers.split,
        "data": answers.data,
        "rows": len(answers),
        "truth": _values(answers.task, answers.truth),
        "predicted": _values(answers.task, answers.predicted),
    }
    if answers.groups is not None:
        values["groups"] = answers.groups.to_json()
    if answers.unseen_words is not None:
        values["unseen_words"] = answers.unseen_words
    try:
        replace_file(path, json.dumps(values) + "\n")
    except OSError as error:
        raise ReplankError(f"cannot write {path}: {error.strerror}", hint="choose another `answers`") from error


def evaluate_into(
    folder: Path, model: Model, data: Dataset, split: str, *, progress: Progress | None = None
) -> Quality:
    """The quality of a model on one split, with its answers kept in the folder that becomes its artifact.

    :param progress: called after each batch with the number of examples in it.
    """
    answers = answer_rows(model, data, split, progress=progress)
    # The folder's own name is one for now.
    if not answers.are_vectors:
        write_answers(folder / ROW_ANSWERS, replace(answers, model=data.task.name))
    return quality_of(answers, model.source.manifest)


def answers_of(artifact: Artifact) -> RowAnswers | None:
    """The answers by which an artifact's quality was computed.

    :returns: ``None`` where there are none, or where an earlier release made it.
    :raises DataError: the file holds no answers.
    """
    if ROW_ANSWERS not in artifact.manifest.files:
        return None
    return replace(read_answers(artifact.path / ROW_ANSWERS), model=artifact.path.resolve().name)


def read_answers(path: Path) -> RowAnswers:
    """The answers that :func:`write_answers` wrote.

    :raises ModelError: there is no such file, or it is no JSON object.
    :raises DataError: its values are no answers; the message names the one that is wrong.
    """
    values = read_json(path)
    try:
        if values.get("schema") != SCHEMA:
            raise ValueError(f"schema is {values.get('schema')!r}; expected {SCHEMA}")
        return _answers(dataclass_from_json(_Document, values))
    except FieldError as error:
        problem = f"task.kind is {error.value}; expected {error.expected}"
    except ValueError as error:
        problem = str(error)
    raise DataError(f"{path} holds no answers: {problem}", hint="`answers` of replank evaluate writes such a file")


@dataclass(frozen=True)
class _Document:
    """The values of a file, but for its schema; decisions are not looked at yet."""

    model: str
    task: Task
    split: str
    data: str
    rows: int
    truth: Any
    predicted: Any
    unseen_words: int | None = None
    groups: Groups | None = None


def _answers(document: _Document) -> RowAnswers:
    """The answers of a document.

    :raises ValueError: a value cannot be; the message names it.
    """
    task = document.task
    _require_metrics(task)
    if document.rows < 1:
        raise ValueError(f"rows is {document.rows}; expected 1 or more")
    truth = _decisions(document.truth, "truth", task, document.rows)
    predicted = _decisions(document.predicted, "predicted", task, document.rows)
    if isinstance(truth, list):
        for row, (wanted, found) in enumerate(zip(truth, predicted, strict=True)):
            if len(wanted) != len(found):
                raise ValueError(f"predicted[{row}] has {len(found)} values; expected {len(wanted)}, as truth[{row}]")
    return RowAnswers(
        model=document.model,
        task=task,
        split=document.split,
        data=document.data,
        predicted=predicted,
        truth=truth,
        unseen_words=document.unseen_words,
        groups=_groups(document),
    )


def _groups(document: _Document) -> Groups | None:
    """The rows by query and candidate.

    :raises ValueError: there are none where candidates are ranked, or they are of other rows.
    """
    groups = document.groups
    if groups is None and document.task.kind.ranks_candidates:
        raise ValueError("groups is missing; expected the candidate of each row")
    if groups is not None and len(groups.candidate_of_row) != document.rows:
        raise ValueError(f"groups is of {len(groups.candidate_of_row)} rows; expected {document.rows}")
    return groups


def _require_metrics(task: Task) -> None:
    """Refuse metrics that say nothing about such a task.

    :raises ValueError: the message names the metric.
    """
    if task.kind.has_label_names and len(task.labels) < 2:
        raise ValueError(f"task.labels has {len(task.labels)} names; expected 2 or more")
    if not task.metrics:
        raise ValueError("task.metrics is empty; expected one or more")
    glue = GLUE.get(task.name)
    possible = dict.fromkeys((*task.kind.possible_metrics(task.labels), *(glue.metrics if glue else ())))
    for index, metric in enumerate(task.metrics):
        if metric not in possible:
            raise ValueError(f"task.metrics[{index}] is {metric!r}; expected one of {', '.join(possible)}")


def _decisions(values: Any, place: str, task: Task, rows: int) -> Decisions:
    """The decisions of all rows.

    :raises ValueError: they are none; the message names the row.
    """
    found = _list(values, place)
    if len(found) != rows:
        raise ValueError(f"{place} has {len(found)} values; expected {rows}, the number of rows")
    if task.is_ranked:
        rows_of_numbers = enumerate(_list(row, f"{place}[{index}]") for index, row in enumerate(found))
        return [_numbers(row, f"{place}[{index}]") for index, row in rows_of_numbers]
    if task.is_per_token:
        return [_labels(_list(row, f"{place}[{index}]"), f"{place}[{index}]", task) for index, row in enumerate(found)]
    if task.kind.is_multi_label:
        return _holding(found, place, task)
    if task.kind.has_label_names:
        return _labels(found, place, task)
    return _numbers(found, place)


def _numbers(values: list[Any], place: str) -> NDArray[np.float32]:
    for index, value in enumerate(values):
        if type(value) not in (int, float) or not abs(value) <= _LARGEST_NUMBER:
            raise ValueError(f"{place}[{index}] is {value!r:.40}; expected a finite number")
    return np.array(values, dtype=np.float32)


def _holding(values: list[Any], place: str, task: Task) -> NDArray[np.bool_]:
    """Whether each label holds, of rows that name those that do."""
    holds = np.zeros((len(values), len(task.labels)), dtype=np.bool_)
    for index, row in enumerate(values):
        holds[index, _labels(_list(row, f"{place}[{index}]"), f"{place}[{index}]", task)] = True
    return holds


def _labels(values: list[Any], place: str, task: Task) -> NDArray[np.int64]:
    """Indices of labels, or of tokens where there are no labels."""
    count = len(task.labels) if task.kind.has_label_names else _MOST_TOKENS
    for index, value in enumerate(values):
        if type(value) is not int or not 0 <= value < count:
            raise ValueError(f"{place}[{index}] is {value!r:.40}; expected a whole number, 0 to {count - 1}")
    return np.array(values, dtype=np.int64)


def _list(values: Any, place: str) -> list[Any]:
    if not isinstance(values, list):
        raise ValueError(f"{place} is {values!r:.40}; expected a list")
    return values


def _values(task: Task, decisions: Decisions) -> list[Any]:
    """JSON values; a number of 32 bits as short as it can be written, and of several labels those that hold."""
    if task.kind.is_multi_label:
        return [np.flatnonzero(row).tolist() for row in decisions]
    if isinstance(decisions, list):
        return [_values(task, row) for row in decisions]
    if decisions.dtype == np.float32:
        return [float(str(value)) for value in decisions]
    return list(decisions.tolist())
