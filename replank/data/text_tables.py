"""TSV, CSV and JSONL files, read line by line.

The standard library's csv and json parse them: pyarrow's readers do not say on which line of the file a row begins, and
cannot begin at one.
"""

from __future__ import annotations

import csv
import json
import shlex
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from replank.data.table_file import Position, Row, TableFile, plain_value
from replank.system.errors import DataError

_MAX_FIELD_CHARACTERS = 10_000_000
_MAX_LINE_BYTES = 4 * _MAX_FIELD_CHARACTERS
# What may stand between values, and its name.
_SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}
# Of the control characters, what a text may hold: those for white space, and the escape of terminals.
_NO_TEXT = frozenset(range(32)) - set(b"\t\n\v\f\r\x1b")


class _DelimitedFile(TableFile):
    """A header line, and rows with as many values."""

    _returns_end_lines = False
    _separator: str
    _hint: str

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._lines = _Lines(path, file, returns_end_lines=self._returns_end_lines)
        super().__init__(path, next((values for _, values in self._all_rows(path)), ()))
        self._require_separator()
        self._body = self._lines.position

    def rows(self, columns: Sequence[str], start: Position | None = None, *, may_lack: bool = False) -> Iterator[Row]:
        """See :meth:`TableFile.rows`."""
        wanted = [self.columns.index(name) for name in columns]
        self._lines.go_to(start or self._body)
        for start, values in self._all_rows(self.path):
            if len(values) != len(self.columns):
                raise DataError(
                    f"{self.path}, line {start.line + 1}: {len(values)} values where the header names "
                    f"{len(self.columns)} column{'s' * (len(self.columns) > 1)}",
                    hint=self._hint,
                )
            yield Row(start, tuple(values[index] for index in wanted))

    def _require_separator(self) -> None:
        """Refuse a file whose values something else separates, such as a spreadsheet's semicolons.

        :raises DataError: the header is one name that holds such a separator.
        """
        others = [sign for sign in _SEPARATORS if sign != self._separator and sign in "".join(self.columns)]
        if len(self.columns) == 1 and others:
            expected, found = _SEPARATORS[self._separator], _SEPARATORS[others[0]]
            raise DataError(
                f"{self.path} has {found} between its values; expected {expected}, as in every {self.path.suffix} file",
                hint="write it again with .csv and commas, .tsv and tabs, or as .jsonl",
            )

    def _all_rows(self, path: Path) -> Iterator[tuple[Position, tuple[str, ...]]]:
        """Rows with all of their values, the header among them; empty lines are skipped."""
        start = self._lines.position
        try:
            for values in self._parse(self._lines):
                if values:
                    yield start, tuple(values)
                start = self._lines.position
        except csv.Error as error:
            raise DataError(f"{path} is not CSV: the row that starts on line {start.line + 1}: {error}") from None

    @staticmethod
    @abstractmethod
    def _parse(lines: Iterable[str]) -> Iterator[list[str]]:
        """The values of each row; none for an empty line."""


class TsvFile(_DelimitedFile):
    """Tabs between values and no quoting, as in GLUE's files: a value may hold any character but tab and LF."""

    _separator = "\t"
    _hint = (
        "values in a .tsv file cannot hold tabs or line breaks, and quotes have no meaning there; use .csv or .jsonl"
    )

    @staticmethod
    def _parse(lines: Iterable[str]) -> Iterator[list[str]]:
        for line in lines:
            content = line.removesuffix("\n").removesuffix("\r")
            yield content.split("\t") if content else []


class CsvFile(_DelimitedFile):
    """Commas and double quotes; lines end in LF, CRLF or CR."""

    _returns_end_lines = True
    _separator = ","
    _hint = "a value that holds a comma, a quote or a line break stands in double quotes"

    @staticmethod
    def _parse(lines: Iterable[str]) -> Iterator[list[str]]:
        csv.field_size_limit(_MAX_FIELD_CHARACTERS)
        return csv.reader(lines, strict=True)


class JsonlFile(TableFile):
    """One JSON object a line; the keys of the first one are the columns, and later ones may have more."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._lines = _Lines(path, file)
        start, first = next(self._records(path), (Position(0, 0), {}))
        super().__init__(path, list(first))
        self._first = start

    def rows(self, columns: Sequence[str], start: Position | None = None, *, may_lack: bool = False) -> Iterator[Row]:
        """See :meth:`TableFile.rows`."""
        self._lines.go_to(start or self._first)
        for start, record in self._records(self.path):
            missing = [name for name in columns if name not in record]
            if missing and not may_lack:
                raise DataError(
                    f"{self.path}, line {start.line + 1} lacks the key {missing[0]!r} that line "
                    f"{self._first.line + 1} has"
                )
            yield Row(start, tuple(plain_value(record.get(name)) for name in columns))

    def _records(self, path: Path) -> Iterator[tuple[Position, dict[str, Any]]]:
        start = self._lines.position
        for line in self._lines:
            if content := line.strip():
                yield start, _json_object(content, f"{path}, line {start.line + 1}")
            start = self._lines.position


def _json_object(text: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:  # ValueError: broken JSON, or a number of thousands of digits
        raise DataError(f"{where} is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected a JSON object with one value a column, found {text[:40]!r}")
    return record


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, none of whose keys occurs twice: json would take the last in silence."""
    values = dict(pairs)
    if len(values) != len(pairs):
        twice = next(name for index, (name, _) in enumerate(pairs) if name in dict(pairs[:index]))
        raise ValueError(f"the key {twice!r} occurs twice")
    return values


class _Lines:
    """The lines of a UTF-8 file, their ends included, and the position of the next one.

    Only LF, and CR where asked for, end a line: a text may hold U+2028 or a form feed.
    """

    def __init__(self, path: Path, file: IO[bytes], *, returns_end_lines: bool = False) -> None:
        self._path, self._file, self._returns_end_lines = path, file, returns_end_lines
        self._read: Iterator[bytes] = iter(())
        self.position = Position(0, 0)

    def go_to(self, position: Position) -> None:
        """Continue at the start of a line."""
        self._file.seek(position.offset)
        self._read, self.position = iter(()), position

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._read, b"") or self._read_on()
        if not line:
            raise StopIteration
        text = self._decode(line)
        self.position = Position(self.position.offset + len(line), self.position.line + 1)
        return text

    def _read_on(self) -> bytes:
        line = self._file.readline(_MAX_LINE_BYTES)
        if len(line) == _MAX_LINE_BYTES:
            raise DataError(
                f"{self._path}, line {self.position.line + 1} is longer than {_MAX_LINE_BYTES / 1e6:.0f} MB"
            )
        if not self._returns_end_lines:
            return line
        self._read = iter(line.splitlines(keepends=True))
        return next(self._read, b"")

    def _decode(self, line: bytes) -> str:
        offset, number = self.position
        try:
            return line.decode("utf-8" if offset else "utf-8-sig")
        except UnicodeDecodeError as error:
            # The codec counts from behind a byte order mark; the person counts bytes of the file.
            index = error.start + len(line) - len(error.object)
            guess = "utf-16" if not offset and line.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin1"
            if guess == "latin1" and _NO_TEXT.intersection(line):
                raise DataError(
                    f"{self._path} is no text: line {number + 1} holds bytes that no text has",
                    hint="expected a table in UTF-8, or Parquet as .parquet",
                ) from None
            name, suffix = shlex.quote(str(self._path)), self._path.suffix
            raise DataError(
                f"{self._path} is not UTF-8: line {number + 1} holds the byte 0x{line[index]:02x} at byte "
                f"{offset + index} of the file",
                hint=f"convert it, for example: iconv -f {guess} -t utf-8 {name} > utf8{suffix}",
            ) from None
