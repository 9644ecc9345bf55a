"""Parquet files, read a few rows at a time by pyarrow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from replank.data.table_file import Position, Row, TableFile, Value, plain_value
from replank.system.errors import DataError
from replank.system.extras import require

_ROWS_IN_MEMORY = 256


class ParquetFile(TableFile):
    """Columns of any type; where the package datasets wrote the names of classes, numbers are read as their names."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        require("pyarrow")
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile as Reader

        try:
            self._reader = Reader(file)
        except (ArrowException, OSError) as error:
            raise DataError(f"{path} is not a Parquet file: {error}") from None
        schema = self._reader.schema_arrow
        super().__init__(path, [str(name) for name in schema.names], _class_names(schema.metadata or {}))

    def rows(self, columns: Sequence[str], start: Position | None = None, *, may_lack: bool = False) -> Iterator[Row]:
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
                values = [self._values(name, part.column(name).to_pylist()) for name in columns]
                for index in range(max(0, start - row), len(part)):
                    position = Position(row + index, row + index)
                    yield Row(position, tuple(column[index] for column in values))
            row += len(part)

    def _values(self, column: str, values: list[Any]) -> list[Value]:
        names = self.class_names.get(column)
        return [plain_value(value if names is None else _named(value, names)) for value in values]


def _named(value: Any, names: tuple[str, ...]) -> Any:
    """The name of a class, or the names of a list of them; a number without a name, such as -1, stays as it is."""
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """The names of the classes of each column, as the package datasets keeps them in a Parquet file."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        found = {str(column): _names_in(feature) for column, feature in features.items()}
    except (ValueError, LookupError, TypeError, AttributeError):  # no metadata of that package, or of another form
        return {}
    return {column: names for column, names in found.items() if names}


def _names_in(feature: Any) -> tuple[str, ...]:
    """The names of a feature, or of that which it is a list of."""
    if isinstance(feature, list):
        return _names_in(feature[0])
    if feature.get("_type") == "ClassLabel":
        return tuple(map(str, feature["names"]))
    return _names_in(feature["feature"]) if "feature" in feature else ()
