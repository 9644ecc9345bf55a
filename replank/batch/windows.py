"""Windows of a table file too large for memory: cut once, then read one by one, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from replank.data.table_file import Position, value_text
from replank.data.tables import open_table
from replank.system.errors import DataError

_WINDOW_ROWS = 4096
_WINDOW_CHARACTERS = 4_000_000

Values = tuple[str, ...]


@dataclass(frozen=True)
class Window:
    """Rows of a file that are read, answered and written together.

    :param index: its place among the windows.
    :param first: rows before it.
    :param rows: its number of rows.
    :param offset: the start of its first row, with ``line``; see :class:`Position`.
    """

    index: int
    first: int
    rows: int
    offset: int
    line: int


def cut(path: Path, columns: Sequence[str], window_rows: int = _WINDOW_ROWS) -> list[Window]:
    """Read a file once, which finds whatever is wrong with it before any work is done, and cut it into windows.

    A window ends after ``window_rows`` rows, or after 4 million characters, which bounds its size in memory.

    :param columns: the wanted columns.
    :raises DataError: a row is broken or lacks a column; the message names the line.
    """
    windows: list[Window] = []
    with open_table(path) as file:
        start, first, rows, characters = Position(0, 0), 0, 0, 0
        for row in file.rows(columns):
            if rows == window_rows or (rows and characters > _WINDOW_CHARACTERS):
                windows.append(Window(len(windows), first, rows, *start))
                first, rows, characters = first + rows, 0, 0
            if not rows:
                start = row.start
            rows += 1
            characters += sum(len(value_text(value)) for value in row.values)
        if rows:
            windows.append(Window(len(windows), first, rows, *start))
    return windows


def read_window(path: Path, columns: Sequence[str], window: Window) -> list[Values]:
    """The values of the columns in one window, as text.

    :raises DataError: the file was changed since it was cut, so that a row is broken or missing.
    """
    with open_table(path) as file:
        rows = file.rows(columns, Position(window.offset, window.line))
        values = [tuple(map(value_text, row.values)) for row in islice(rows, window.rows)]
    if len(values) != window.rows:
        raise DataError(f"{path} became shorter while it was read")
    return values
