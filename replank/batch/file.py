"""The texts of a file too large for memory: cut into windows once, then read window by window, in any order."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from replank.data.tables import MAX_FIELD_CHARACTERS, scalar_text
from replank.system.errors import DataError, UsageError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_WINDOW_ROWS = 4096
_WINDOW_CHARACTERS = 4_000_000
_PARQUET_ROWS = 256

Row = tuple[str, ...]


@dataclass(frozen=True)
class Window:
    """Rows of a file that are read, answered and written together.

    :param index: its place among the windows.
    :param first: rows before it.
    :param rows: how many it has.
    :param offset: where it begins: a byte of a text file, a row of a Parquet file.
    :param line: lines before it, for what is said of its rows.
    """

    index: int
    first: int
    rows: int
    offset: int
    line: int


def read_columns(path: Path) -> list[str]:
    """The names of a file's columns; of a JSONL file, the keys of its first line.

    :raises UsageError: the suffix is another than :data:`SUFFIXES`.
    :raises DataError: there is no such file, or it has no column.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"cannot read {path}: the suffix must be one of {', '.join(SUFFIXES)}")
    with _opened(path) as file:
        if path.suffix == ".parquet":
            return [str(name) for name in _open_parquet(path, file).schema_arrow.names]
        lines = _Lines(path, file)
        if path.suffix == ".jsonl":
            return next((list(record) for record in _records(lines)), [])
        return _header(lines)[0]


def cut(path: Path, columns: Sequence[str], window_rows: int = _WINDOW_ROWS) -> list[Window]:
    """Read a file once, so that whatever is wrong with it is said before any work, and cut it into windows.

    A window ends after so many rows, or after 4 million characters of texts: its size in memory is bounded.

    :param columns: the columns that are wanted.
    :param window_rows: most rows of a window.
    :raises DataError: a row is broken or lacks a column; the message names the line.
    """
    windows: list[Window] = []
    with _opened(path) as file:
        begin, first, rows, characters = (0, 0), 0, 0, 0
        for position, row in _rows(path, file, columns):
            if rows == window_rows or (rows and characters > _WINDOW_CHARACTERS):
                windows.append(Window(len(windows), first, rows, *begin))
                first, rows, characters = first + rows, 0, 0
            if not rows:
                begin = position
            rows += 1
            characters += sum(map(len, row))
        if rows:
            windows.append(Window(len(windows), first, rows, *begin))
    return windows


def read_window(path: Path, columns: Sequence[str], window: Window) -> list[Row]:
    """The values of the columns in one window, as text.

    :raises DataError: a row is broken, which it was not when the file was cut.
    """
    with _opened(path) as file:
        rows = [row for _, (_, row) in zip(range(window.rows), _rows(path, file, columns, window), strict=False)]
    if len(rows) != window.rows:
        raise DataError(f"{path} became shorter while it was read")
    return rows


class _Lines:
    """The lines of a UTF-8 file, their ends included, and how far one is in it."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self._file = path, file
        self.offset = self.number = 0

    def go_to(self, window: Window) -> None:
        """Go on where a window begins."""
        self._file.seek(window.offset)
        self.offset, self.number = window.offset, window.line

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(4 * MAX_FIELD_CHARACTERS)
        if not line:
            raise StopIteration
        start, self.offset = self.offset, self.offset + len(line)
        self.number += 1
        if len(line) == 4 * MAX_FIELD_CHARACTERS:
            raise DataError(f"{self.path}, line {self.number} is longer than {len(line) / 1e6:.0f} MB")
        try:
            return line.decode("utf-8" if start else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.path} is not UTF-8: line {self.number} holds the byte 0x{error.object[error.start]:02x}",
                hint=f"convert it, for example: iconv -f latin1 -t utf-8 {self.path.name} > utf8{self.path.suffix}",
            ) from None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    with file:
        yield file


def _rows(
    path: Path, file: IO[bytes], columns: Sequence[str], window: Window | None = None
) -> Iterator[tuple[tuple[int, int], Row]]:
    """Rows from a window on, each with the offset and the lines before it."""
    if path.suffix == ".parquet":
        return _parquet_rows(_open_parquet(path, file), columns, window.offset if window else 0)
    read = _jsonl_rows if path.suffix == ".jsonl" else _table_rows
    return read(_Lines(path, file), columns, window)


def _jsonl_rows(lines: _Lines, columns: Sequence[str], window: Window | None) -> Iterator[tuple[tuple[int, int], Row]]:
    if window:
        lines.go_to(window)
    position = (lines.offset, lines.number)
    for record in _records(lines):
        if missing := [name for name in columns if name not in record]:
            raise DataError(f"{lines.path}, line {lines.number} has no key {missing[0]!r}")
        yield position, tuple(scalar_text(record[name]) for name in columns)
        position = (lines.offset, lines.number)


def _records(lines: _Lines) -> Iterator[dict[str, Any]]:
    for line in lines:
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{lines.path}, line {lines.number} is not JSON: {error}") from None
        if not isinstance(record, dict):
            raise DataError(f"{lines.path}, line {lines.number}: expected a JSON object, found {line[:40]!r}")
        yield record


def _table_rows(lines: _Lines, columns: Sequence[str], window: Window | None) -> Iterator[tuple[tuple[int, int], Row]]:
    header, rows = _header(lines)
    wanted = [header.index(name) for name in columns]
    if window:
        lines.go_to(window)
    position = (lines.offset, lines.number)
    try:
        for row in rows:
            if row and len(row) != len(header):
                raise DataError(
                    f"{lines.path}, line {position[1] + 1}: {len(row)} values where the header names {len(header)} "
                    "columns"
                )
            if row:
                yield position, tuple(row[index] for index in wanted)
            position = (lines.offset, lines.number)
    except csv.Error as error:
        raise DataError(f"{lines.path} is not CSV: the row that starts on line {position[1] + 1}: {error}") from None


def _header(lines: _Lines) -> tuple[list[str], Iterator[list[str]]]:
    """The names of the columns, and the rows under them: read line by line, no line before it is needed."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    rows = iter(csv.reader(lines, strict=True)) if lines.path.suffix == ".csv" else _tsv_rows(lines)
    try:
        header = next((row for row in rows if row), [])
    except csv.Error as error:
        raise DataError(f"{lines.path} is not CSV: its first line: {error}") from None
    if len(set(header)) != len(header):
        raise DataError(f"{lines.path} names a column twice: {', '.join(map(repr, header))}")
    return header, rows


def _tsv_rows(lines: _Lines) -> Iterator[list[str]]:
    for line in lines:
        content = line.removesuffix("\n").removesuffix("\r")
        yield content.split("\t") if content else []


def _open_parquet(path: Path, file: IO[bytes]) -> Any:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(file)
    except ArrowException as error:
        raise DataError(f"{path} is no Parquet file: {error}") from None


def _parquet_rows(file: Any, columns: Sequence[str], start: int) -> Iterator[tuple[tuple[int, int], Row]]:
    """Row groups before the start are not read; of its own, no more than a few rows are in memory."""
    group, row = 0, 0
    while group < file.num_row_groups and row + file.metadata.row_group(group).num_rows <= start:
        row += file.metadata.row_group(group).num_rows
        group += 1
    groups = range(group, file.num_row_groups)
    for part in file.iter_batches(_PARQUET_ROWS, row_groups=groups, columns=sorted(set(columns)), use_threads=False):
        if row + len(part) > start:
            values = [part.column(name).to_pylist() for name in columns]
            for index in range(max(0, start - row), len(part)):
                yield (row + index, row + index), tuple(scalar_text(column[index]) for column in values)
        row += len(part)
