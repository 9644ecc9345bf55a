"""Labels of a table: which there are, and each row's as the model counts it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from replank.data.tables import Table
from replank.system.errors import DataError
from replank.tasks.glue import GLUE
from replank.tasks.kinds import Kind
from replank.tasks.kinds.kind import Cell
from replank.tasks.kinds.regression import is_number
from replank.tasks.task import Task

_MANY_LABELS = 200


def label_cells(table: Table, column: str, split: str, kind: Kind) -> list[Cell] | None:
    """The label column; ``None`` where there is nothing to read.

    A test split may have no labels: GLUE's has none, or -1.
    """
    if not kind.has_labels:
        return None
    may_lack = split.startswith("test") or split == "ax"
    if may_lack and (column not in table.columns or set(table.column(column)) <= {"-1", ""}):
        return None
    return list_cells(table, column)


def list_cells(table: Table, column: str) -> list[Cell]:
    """The cells of a column: a list of a .jsonl or .parquet file is a list, all else a text.

    :raises DataError: a list holds something else than texts and whole numbers, or nothing.
    """
    cells: list[Cell] = []
    for line, cell in zip(table.lines, table.column(column), strict=True):
        if not table.has_lists or cell[:1] != "[":
            cells.append(cell)
            continue
        try:
            values = json.loads(cell)
        except ValueError:  # a text that begins with a bracket
            cells.append(cell)
            continue
        if not values or not all(type(value) in (str, int) for value in values):
            raise DataError(
                f"{table.where(line)}: expected a list of words or labels, found {cell[:40]!r}",
                hint="delete rows without any",
            )
        cells.append([str(value) for value in values])
    return cells


def word_cells(table: Table, column: str) -> list[list[str]]:
    """The words of each cell of a column: a list in JSONL; else values with white space between.

    :raises DataError: a cell without words.
    """
    lists = [cell if isinstance(cell, list) else cell.split() for cell in list_cells(table, column)]
    for line, words in zip(table.lines, lists, strict=True):
        if not words:
            raise DataError(
                f"{table.where(line)}: expected a list of words, found none",
                hint="delete sentences without words",
            )
    return lists


def label_names(kind: Kind, cells: list[Cell] | None, table: Table | None) -> tuple[str, ...]:
    """The distinct labels of the training split: numbers by value, names by alphabet.

    :param cells: its label column, from ``table``; ``None`` if there is no training split.
    :raises DataError: there is none, a label is empty, or there are one or too many.
    """
    if cells is None or table is None:
        raise DataError(
            "the labels are not known: there is no training split and the model names none",
            hint="give the `train` file, or evaluate a model that replank made",
        )
    names: set[str] = set()
    for line, cell in zip(table.lines, cells, strict=True):
        found = _located(table, line, kind.label_names, cell)
        if not found or "" in found:
            raise DataError(f"{table.where(line)}: the label is empty")
        names.update(found)
    if len(names) < 2:
        only = repr(next(iter(names))) if names else "none"
        raise DataError(f"{table.path} has only one label, {only}; there is nothing to learn")
    if len(names) > _MANY_LABELS:
        numbers = all(map(is_number, names))
        raise DataError(
            f"{table.path} has {len(names)} different labels; expected {_MANY_LABELS} at most",
            hint="numbers are learnt with `task=regression`" if numbers else "is `label` the right column?",
        )
    return tuple(sorted(names, key=float) if all(map(is_number, names)) else sorted(names))


def parse_labels(task: Task, table: Table, cells: list[Cell], texts: Sequence[str]) -> NDArray[Any]:
    """The labels of a split, as :meth:`Kind.label_array` holds them.

    :param texts: the (first) texts of the rows.
    :raises DataError: a cell that is no label of the task; the message names file and line.
    """
    kind = task.kind
    index: dict[str, int] = {}
    if kind.has_label_names:
        rows = zip(table.lines, cells, strict=True)
        found = {name for line, cell in rows for name in _located(table, line, kind.label_names, cell)}
        index = _index(task, found, table.path)
    return kind.label_array(
        [
            _located(table, line, kind.parse_label, cell, text, index)
            for line, cell, text in zip(table.lines, cells, texts, strict=True)
        ]
    )


def _located(table: Table, line: int, function: Any, *arguments: Any) -> Any:
    """The function's result; its error says where in the file."""
    try:
        return function(*arguments)
    except DataError as error:
        raise DataError(f"{table.where(line)}: {error.message}", hint=error.hint) from None


def _index(task: Task, found: set[str], path: Path) -> dict[str, int]:
    """The model's output for each label that a file may hold.

    GLUE's files number its labels, or name them as they please; a model may have them in any order.

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
