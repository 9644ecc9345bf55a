"""Tables in files, by suffix: as a stream of rows, or whole in memory. The one reader of training and of batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from replank.data.parquet_table import ParquetFile
from replank.data.table_file import TableFile
from replank.data.text_tables import CsvFile, JsonlFile, TsvFile
from replank.system.errors import DataError, UsageError

_FORMATS: dict[str, Callable[[Path, IO[bytes]], TableFile]] = {
    ".tsv": TsvFile,
    ".csv": CsvFile,
    ".jsonl": JsonlFile,
    ".parquet": ParquetFile,
}
SUFFIXES = tuple(_FORMATS)


@dataclass(frozen=True)
class Table:
    """The rows of a file, all values as text.

    :param columns: column names as the file has them.
    :param rows: one tuple of values per row, in the order of the columns.
    :param lines: the line of the file on which each row starts, counted from 1; of a Parquet file, the row.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    lines: list[int]

    @property
    def has_lists(self) -> bool:
        """Whether lists are values of their own in the format; they are kept as JSON."""
        return self.path.suffix in (".jsonl", ".parquet")

    def where(self, line: int) -> str:
        """The file and one of :attr:`lines`, for messages."""
        return f"{self.path}, {'row' if self.path.suffix == '.parquet' else 'line'} {line}"

    def column(self, name: str) -> list[str]:
        """The values of one column.

        :raises DataError: there is no such column; the message lists those that exist.
        """
        if name not in self.columns:
            raise DataError(
                f"{self.path} has no column {name!r}; its columns are {', '.join(map(repr, self.columns))}",
                hint="name the columns with `text`, `text_pair` and `label`",
            )
        index = self.columns.index(name)
        return [row[index] for row in self.rows]


def read_table(path: Path) -> Table:
    """A whole file, in the format of its suffix; see :func:`open_table`.

    :raises UsageError: the suffix is unknown.
    :raises DataError: the file is missing, has no rows or is not UTF-8, or a row does not fit the header.
    """
    with open_table(path) as file:
        if not file.columns:
            raise DataError(f"{path} is empty")
        rows, lines = [], []
        for row in file.rows(file.columns):
            rows.append(row.values)
            lines.append(row.start.line + 1)
        if not rows:
            raise DataError(f"{path} has a header and no rows")
        return Table(path, file.columns, rows, lines)


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
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    with file:
        yield _FORMATS[path.suffix](path, file)
