"""The interface of table files: their columns, and their rows as a stream that can begin at any row."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from replank.system.errors import DataError
from replank.text.unicode import without_lone_surrogates


class Position(NamedTuple):
    """The start of a row.

    :param offset: bytes before it; in a Parquet file, rows.
    :param line: lines before it; in a Parquet file, rows.
    """

    offset: int
    line: int


class Row(NamedTuple):
    """One row: its start, and its values in the columns that were asked for, as text."""

    start: Position
    values: tuple[str, ...]


class TableFile(ABC):
    """An open file of one format.

    :param columns: its column names; none for an empty file.
    :raises DataError: a column name occurs twice.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        if len(set(columns)) != len(columns):
            raise DataError(f"{path} names a column twice: {', '.join(map(repr, columns))}")
        self.path = path
        self.columns: tuple[str, ...] = tuple(columns)

    @abstractmethod
    def rows(self, columns: Sequence[str], start: Position | None = None) -> Iterator[Row]:
        """The rows in order.

        :param columns: the wanted ones of :attr:`columns`.
        :param start: the start of the row to begin with; the first row by default.
        :raises DataError: a row is broken; the message names its line.
        """


def value_text(value: object) -> str:
    """A value of JSON or Parquet as text; a whole float as an integer, so that 1.0 and 1 are one label."""
    if value is None:
        return ""
    if isinstance(value, str):
        return without_lone_surrogates(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    # A list of words stays JSON, as does whatever a column that the task does not use may hold.
    return json.dumps(value, default=str) if isinstance(value, bool | list | dict) else str(value)
