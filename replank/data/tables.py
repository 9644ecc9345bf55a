"""Tables in files, by suffix: as a stream of rows, or whole in memory. The one reader of training and of batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from replank.data.parquet_table import ParquetFile
from replank.data.table_file import TableFile, Value
from replank.data.text_tables import CsvFile, JsonlFile, TsvFile
from replank.system.errors import DataError, UsageError

_FORMATS: dict[str, Callable[[Path, IO[bytes]], TableFile]] = {
    ".tsv": TsvFile,
    ".csv": CsvFile,
    ".jsonl": JsonlFile,
    ".parquet": ParquetFile,
}
SUFFIXES = tuple(_FORMATS)
# Texts that a program writes where it has none.
_EMPTY_TEXTS = frozenset({"nan", "NaN", "None", "null", "<NA>", "NaT"})
_SHOWN_TABLES = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """The rows of a file.

    :param columns: column names as the file has them.
    :param rows: one tuple of values per row, in the order of the columns.
    :param lines: the line of the file on which each row starts, counted from 1; of a Parquet file, the row.
    :param class_names: see :class:`TableFile`.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]]
    lines: list[int]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def without(self, rows: Collection[int]) -> Table:
        """The table without the rows of these indices."""
        kept = [index for index in range(len(self)) if index not in rows]
        return replace(self, rows=[self.rows[index] for index in kept], lines=[self.lines[index] for index in kept])

    def where(self, line: int) -> str:
        """The file and one of :attr:`lines`, for messages."""
        return f"{self.path}, {'row' if self.path.suffix == '.parquet' else 'line'} {line}"

    def texts(self, name: str) -> list[str]:
        """The values of one column, each a text; empty ones are told of.

        :raises DataError: there is no such column, or a value is no text: it is missing, a list or an object.
        """
        texts: list[str] = []
        for line, value in zip(self.lines, self.column(name), strict=True):
            if not isinstance(value, str):
                found = (
                    "nothing (null, NaN or a missing key)"
                    if value is None
                    else "a list"
                    if isinstance(value, list)
                    else "an object"
                )
                raise DataError(
                    f"{self.where(line)}: expected a text in the column {name!r}, found {found}",
                    hint="lists of words are for `task=token-classification`"
                    if isinstance(value, list)
                    else "delete the row, or write its text",
                )
            texts.append(value)
        self._tell_of_empty_texts(name, texts)
        return texts

    def column(self, name: str) -> list[Value]:
        """The values of one column.

        :raises DataError: there is no such column; the message lists those that exist.
        """
        if name not in self.columns:
            raise DataError(
                f"{self.path} has no column {name!r}; its columns are {', '.join(map(repr, self.columns))}",
                hint="name the columns with `text`, `text_pair` and `label`"
                + ("; those of a .jsonl file are the keys of its first line" if self.path.suffix == ".jsonl" else ""),
            )
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def _tell_of_empty_texts(self, column: str, texts: list[str]) -> None:
        empty = [index for index, text in enumerate(texts) if not text.strip() or text in _EMPTY_TEXTS]
        if empty:
            where, first = self.where(self.lines[empty[0]]), texts[empty[0]]
            counts = f"{len(empty)} of {len(texts)}"
            _log.warning("%s: the text in the column %r is %r; %s are empty or mean it", where, column, first, counts)


def _tables_beside(path: Path) -> str | None:
    """The tables in the folder of one that is not there, for the hint; ``None`` if it has none."""
    found = sorted(other.name for suffix in SUFFIXES for other in path.parent.glob(f"*{suffix}"))
    if not found:
        return None
    more = "" if len(found) <= _SHOWN_TABLES else f" and {len(found) - _SHOWN_TABLES} more"
    return f"{path.parent} has {', '.join(found[:_SHOWN_TABLES])}{more}"


def read_table(path: Path) -> Table:
    """A whole file, in the format of its suffix; see :func:`open_table`.

    :raises UsageError: the suffix is unknown.
    :raises DataError: the file is missing, has no rows or is not UTF-8, or a row does not fit the header.
    """
    with open_table(path) as file:
        if not file.columns:
            raise DataError(f"{path} is empty")
        rows, lines = [], []
        for row in file.rows(file.columns, may_lack=True):
            rows.append(row.values)
            lines.append(row.start.line + 1)
        if not rows:
            raise DataError(f"{path} has a header and no rows")
        return Table(path, file.columns, rows, lines, file.class_names)


@contextmanager
def open_table(path: Path) -> Iterator[TableFile]:
    """Open a file in the format of its suffix.

    ``.tsv`` has a header line, tabs between values and no quoting, as GLUE's files; ``.csv`` has a header line and the
    usual double quotes; ``.jsonl`` has one JSON object a line, with the keys of the first one in each; ``.parquet``.

    :raises UsageError: the suffix is unknown.
    :raises DataError: the file cannot be opened, or its header is broken.
    :raises MissingExtraError: the package that reads Parquet files is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"cannot read {path}: the suffix must be one of {', '.join(SUFFIXES)}")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}", hint=_tables_beside(path)) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    with file:
        yield _FORMATS[path.suffix](path, file)
