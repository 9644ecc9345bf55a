"""Reading TSV, CSV and JSONL files, with errors that name the line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from replank.system.errors import DataError, UsageError
from replank.text.unicode import without_lone_surrogates

SUFFIXES = (".tsv", ".csv", ".jsonl")
MAX_FIELD_CHARACTERS = 10_000_000


@dataclass(frozen=True)
class Table:
    """The rows of a file, all values as text.

    :param columns: column names as the file has them.
    :param rows: one tuple of values a row, in the order of the columns.
    :param lines: the line of the file on which each row starts, counted from 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """The values of one column.

        :raises DataError: there is no such column; the message says which exist.
        """
        if name not in self.columns:
            raise DataError(
                f"{self.path} has no column {name!r}; its columns are {', '.join(map(repr, self.columns))}",
                hint="name the columns with --text, --text-pair and --label",
            )
        index = self.columns.index(name)
        return [row[index] for row in self.rows]


def read_table(path: Path) -> Table:
    """Read a file by its suffix.

    ``.tsv`` has a header line, tabs between values and no quoting, as GLUE's files; ``.csv`` has a header line
    and the usual double quotes; ``.jsonl`` has one JSON object a line, with the same keys in each.

    :raises UsageError: the suffix is another one.
    :raises DataError: the file is missing, empty, not UTF-8, or a row does not fit the header.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"cannot read {path}: the suffix must be one of {', '.join(SUFFIXES)}")
    text = _decode(path)
    if not text.strip():
        raise DataError(f"{path} is empty")
    reader = {".tsv": _read_tsv, ".csv": _read_csv, ".jsonl": _read_jsonl}[path.suffix]
    table = reader(path, text)
    if not table.rows:
        raise DataError(f"{path} has a header and no rows")
    return table


def _decode(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts from behind a byte order mark; the person counts bytes of the file.
        start = error.start + (len(content) - len(error.object))
        line = content.count(b"\n", 0, start) + 1
        guess = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin1"
        raise DataError(
            f"{path} is not UTF-8: line {line} holds the byte 0x{content[start]:02x} at byte {start} of the file",
            hint=f"convert it, for example: iconv -f {guess} -t utf-8 {path.name} > utf8{path.suffix}",
        ) from None


def _read_tsv(path: Path, text: str) -> Table:
    # Not splitlines(): a text may hold U+2028 or a form feed.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    numbered = [(number, tuple(line.split("\t"))) for number, line in enumerate(lines, 1) if line]
    return _with_header(path, numbered)


def _read_csv(path: Path, text: str) -> Table:
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    numbered, start = [], 1
    try:
        for row in reader:
            if row:
                numbered.append((start, tuple(row)))
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path} is not CSV: the row that starts on line {start}: {error}") from None
    return _with_header(path, numbered)


def _with_header(path: Path, numbered: list[tuple[int, tuple[str, ...]]]) -> Table:
    (_, columns), body = numbered[0], numbered[1:]
    if len(set(columns)) != len(columns):
        raise DataError(f"{path} names a column twice: {', '.join(map(repr, columns))}")
    for line, row in body:
        if len(row) != len(columns):
            raise DataError(
                f"{path}, line {line}: {len(row)} values where the header names {len(columns)} columns",
                hint="in a .tsv a value holds no tab or line break and quotes mean nothing; .csv and .jsonl allow them",
            )
    return Table(path, columns, [row for _, row in body], [line for line, _ in body])


def _read_jsonl(path: Path, text: str) -> Table:
    columns: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError: broken JSON, or a number of thousands of digits
            raise DataError(f"{where} is not JSON: {error}") from None
        if not isinstance(record, dict):
            raise DataError(f"{where}: expected a JSON object with one value a column, found {line[:40]!r}")
        columns = columns or tuple(record)
        if missing := [name for name in columns if name not in record]:
            raise DataError(f"{where} lacks the key {missing[0]!r} that line {lines[0]} has")
        rows.append(tuple(scalar_text(record[name]) for name in columns))
        lines.append(number)
    return Table(path, columns, rows, lines)


def scalar_text(value: object) -> str:
    """A JSON value as text; a whole float as the integer it stands for, so that 1.0 and 1 are one label."""
    if value is None:
        return ""
    if isinstance(value, str):
        return without_lone_surrogates(value)
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    # A column that the task does not use may hold anything; it is kept as the JSON it was.
    return json.dumps(value)
