"""Labels as files write them to labels as models count them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.errors import DataError
from replank.tables import Table
from replank.tasks import Kind, Task
from replank.words import split_cell, words_of

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
    names = {name for value in values for name in split_cell(value)} if per_word else set(values)
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
    index = _index(task, set(values))
    return np.array([_lookup(task, table, row, value, index) for row, value in enumerate(values)], dtype=np.int64)


def is_number(value: str) -> bool:
    """Whether the text is a finite number; labels are kept in 32 bits."""
    try:
        return abs(float(value)) <= float(np.finfo(np.float32).max)
    except ValueError:
        return False


def _parse_word_labels(task: Task, table: Table, values: list[str], texts: Sequence[str]) -> NDArray[Any]:
    cells = [split_cell(value) for value in values]
    index = _index(task, {name for names in cells for name in names})
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


def _index(task: Task, found: set[str]) -> dict[str, int]:
    index = {name: number for number, name in enumerate(task.labels)}
    if not found <= index.keys() and found <= {str(number) for number in index.values()}:
        # GLUE's files write indices where the task has names.
        index = {str(number): number for number in index.values()}
    return index


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
