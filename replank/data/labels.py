"""Labels as files write them to labels as models count them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.data.tables import Table
from replank.system.errors import DataError
from replank.tasks.task import GLUE, Kind, Task
from replank.text.words import words_of

_MANY_LABELS = 200


def raw_labels(table: Table, column: str, split: str, kind: Kind) -> list[str] | None:
    """The label column as text; ``None`` where there is nothing to read.

    A test split may have no labels (GLUE's has none, or -1), and masked language modelling needs none.
    """
    if kind == "masked-lm":
        return None
    if (split.startswith("test") or split == "ax") and (
        column not in table.columns or set(table.column(column)) <= {"-1", ""}
    ):
        return None
    return table.column(column)


def label_names(kind: Kind, values: list[str] | None, table: Table | None) -> tuple[str, ...]:
    """The distinct labels of the training split: numbers by value, names by alphabet.

    :param values: its label column, from ``table``; ``None`` if there is no training split.
    :raises DataError: there is none, a label is empty, or there are one or too many.
    """
    if values is None or table is None:
        raise DataError(
            "the labels are not known: there is no training split and the model names none",
            hint="add --train FILE, or evaluate a model that replank made",
        )
    per_word = kind == "token-classification"
    names = {name for words in word_lists(table, values) for name in words} if per_word else set(values)
    if "" in names:
        raise DataError(f"{table.path}, line {table.lines[values.index('')]}: the label is empty")
    if len(names) < 2:
        only = repr(next(iter(names))) if names else "none"
        raise DataError(f"{table.path} has only one label, {only}; there is nothing to learn")
    if len(names) > _MANY_LABELS:
        numbers = all(map(is_number, names))
        raise DataError(
            f"{table.path} has {len(names)} different labels; expected {_MANY_LABELS} at most",
            hint="numbers are learnt with --kind regression" if numbers else "is --label the right column?",
        )
    return tuple(sorted(names, key=float) if all(map(is_number, names)) else sorted(names))


def parse_labels(task: Task, table: Table, values: list[str], texts: Sequence[str]) -> NDArray[Any]:
    """The labels of a split, shape ``(rows,)``: int64, float32 for regression, or arrays of int64, one a word.

    :param texts: of the rows, for their number of words.
    :raises DataError: a label that is unknown or no number, or another number of labels than words.
    """
    if task.kind == "regression":
        return np.array([_parse_number(table, row, value) for row, value in enumerate(values)], dtype=np.float32)
    if task.kind == "token-classification":
        return _parse_word_labels(task, table, values, texts)
    index = _index(task, set(values), table.path)
    return np.array([_lookup(task, table, row, value, index) for row, value in enumerate(values)], dtype=np.int64)


def word_lists(table: Table, cells: Sequence[str]) -> list[list[str]]:
    """The words, or labels, of each cell of a column: a list in JSONL; else values with white space between.

    :raises DataError: a list holds something else than texts and whole numbers, or nothing.
    """
    lists = []
    for line, cell in zip(table.lines, cells, strict=True):
        words = _json_list(cell) if table.path.suffix == ".jsonl" and cell[:1] == "[" else cell.split()
        if not words:
            raise DataError(
                f"{table.path}, line {line}: expected a list of words or labels, found {cell[:40]!r}",
                hint="delete sentences without words",
            )
        lists.append(words)
    return lists


def _json_list(cell: str) -> list[str]:
    """The texts of a JSON list; none if it holds anything but texts and whole numbers."""
    values = json.loads(cell)
    return [str(value) for value in values] if all(type(value) in (str, int) for value in values) else []


def is_number(value: str) -> bool:
    """Whether the text is a finite number; labels are kept in 32 bits."""
    try:
        return abs(float(value)) <= float(np.finfo(np.float32).max)
    except ValueError:
        return False


def _parse_word_labels(task: Task, table: Table, values: list[str], texts: Sequence[str]) -> NDArray[Any]:
    cells = word_lists(table, values)
    index = _index(task, {name for names in cells for name in names}, table.path)
    labels = np.empty(len(cells), dtype=object)
    for row, (names, text) in enumerate(zip(cells, texts, strict=True)):
        words = len(words_of(text))
        if len(names) != words:
            raise DataError(
                f"{table.path}, line {table.lines[row]}: {len(names)} labels for {words} words",
                hint="each word needs one: lists in .jsonl, or values with spaces between in .csv and .tsv",
            )
        labels[row] = np.array([_lookup(task, table, row, name, index) for name in names], dtype=np.int64)
    return labels


def _index(task: Task, found: set[str], path: Path) -> dict[str, int]:
    """The model's output for each label that a file may hold.

    GLUE's files number its labels, or name them as it pleases; a model may have them in any order.

    :raises DataError: the model's labels are not those of the GLUE task that it is to be used for.
    """
    index = {name: number for number, name in enumerate(task.labels)}
    if found <= index.keys() or task.name not in GLUE:
        return index
    names = [name.casefold() for name in GLUE[task.name].labels]
    ours = [name.casefold() for name in task.labels]
    if ours == [str(number) for number in range(len(ours))]:
        ours = names  # a model without names has GLUE's order
    if sorted(ours) != sorted(names):
        raise DataError(
            f"the model's labels are {', '.join(task.labels)}; those of {task.name} are {', '.join(names)}",
            hint=f"is {path} the data of the task that the model was made for?",
        )
    numbers = {str(number): ours.index(name) for number, name in enumerate(names)}
    if found <= numbers.keys():
        return numbers
    return index | {name: ours.index(name.casefold()) for name in GLUE[task.name].labels}


def _lookup(task: Task, table: Table, row: int, value: str, index: dict[str, int]) -> int:
    if value not in index:
        raise DataError(
            f"{table.path}, line {table.lines[row]}: label {value!r} is not one of {', '.join(task.labels)}",
            hint="every label must occur in the training split" if value else "the label is empty",
        )
    return index[value]


def _parse_number(table: Table, row: int, value: str) -> float:
    if not is_number(value):
        raise DataError(f"{table.path}, line {table.lines[row]}: expected a finite number as label, found {value!r}")
    return float(value)
