"""The interface of table files: their columns, and their rows as a stream that can begin at any row."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from replank.system.errors import DataError
from replank.text.unicode import without_lone_surrogates

# A value as the file has it: a text, in which numbers are written too; a list or an object of a format that has them;
# ``None`` where the format says that there is none.
Value = str | list[Any] | dict[str, Any] | None


class Position(NamedTuple):
    """The start of a row.

    :param offset: bytes before it; in a Parquet file, rows.
    :param line: lines before it; in a Parquet file, rows.
    """

    offset: int
    line: int


class Row(NamedTuple):
    """One row: its start, and its values in the columns that were asked for."""

    start: Position
    values: tuple[Value, ...]


class TableFile(ABC):
    """An open file of one format.

    :param columns: its column names; none for an empty file.
    :param class_names: of the columns whose values the file knows by number and name: the names by number.
    :raises DataError: a column name occurs twice.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], class_names: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        if len(set(columns)) != len(columns):
            raise DataError(f"{path} names a column twice: {', '.join(map(repr, columns))}")
        self.path = path
        self.columns: tuple[str, ...] = tuple(columns)
        self.class_names: Mapping[str, tuple[str, ...]] = class_names or {}

    @abstractmethod
    def rows(self, columns: Sequence[str], start: Position | None = None, *, may_lack: bool = False) -> Iterator[Row]:
        """The rows in order.

        :param columns: the wanted ones of :attr:`columns`.
        :param start: the start of the row to begin with; the first row by default.
        :param may_lack: a row that lacks a column, as JSON's may, has ``None`` there; otherwise it is broken.
        :raises DataError: a row is broken; the message names its line.
        """


def plain_value(value: object) -> Value:
    """A value of JSON or Parquet; a whole float as an integer, so that 1.0 and 1 are one label; NaN as none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        return without_lone_surrogates(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, list | dict) else str(value)


def value_text(value: Value) -> str:
    """A value as text: nothing as an empty one, lists and objects as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str)
