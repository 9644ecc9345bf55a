"""Parquet files, read a few rows at a time by pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from replank.data.table_file import Position, Row, TableFile, value_text
from replank.system.errors import DataError
from replank.system.extras import require

_ROWS_IN_MEMORY = 256


class ParquetFile(TableFile):
    """Columns of any type, as text: lists and structs as JSON."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        require("pyarrow")
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile as Reader

        try:
            self._reader = Reader(file)
        except (ArrowException, OSError) as error:
            raise DataError(f"{path} is not a Parquet file: {error}") from None
        super().__init__(path, [str(name) for name in self._reader.schema_arrow.names])

    def rows(self, columns: Sequence[str], start: Position | None = None) -> Iterator[Row]:
        """See :meth:`TableFile.rows`."""
        from pyarrow import ArrowException

        try:
            yield from self._rows(columns, start.offset if start else 0)
        except (ArrowException, OSError) as error:
            raise DataError(f"{self.path} is damaged: {error}") from None

    def _rows(self, columns: Sequence[str], start: int) -> Iterator[Row]:
        """Row groups before the start are not read."""
        group, row = 0, 0
        sizes = [self._reader.metadata.row_group(index).num_rows for index in range(self._reader.num_row_groups)]
        while group < len(sizes) and row + sizes[group] <= start:
            row += sizes[group]
            group += 1
        for part in self._reader.iter_batches(
            _ROWS_IN_MEMORY, row_groups=range(group, len(sizes)), columns=sorted(set(columns)), use_threads=False
        ):
            if row + len(part) > start:
                values = [part.column(name).to_pylist() for name in columns]
                for index in range(max(0, start - row), len(part)):
                    position = Position(row + index, row + index)
                    yield Row(position, tuple(value_text(column[index]) for column in values))
            row += len(part)
