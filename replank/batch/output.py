"""The output of a batch run: one file per window, written atomically, and all of them merged into one."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from replank.system.errors import UsageError
from replank.system.files import replace_file, replacing_file

SUFFIXES = (".csv", ".jsonl", ".parquet")

# The words, the entities and the labels of a text are lists: .csv and .parquet hold them as JSON.
Answer = tuple[str | int | float | list[dict[str, Any]] | list[str] | list[float], ...]


def require_suffix(out: Path) -> None:
    """Refuse an output of an unknown format.

    :raises UsageError: the suffix is not one of :data:`SUFFIXES`.
    """
    if out.suffix not in SUFFIXES:
        raise UsageError(f"cannot write {out}: the suffix must be one of {', '.join(SUFFIXES)}")


def part_path(folder: Path, index: int, suffix: str) -> Path:
    """The file of a window's answers."""
    return folder / f"{index:08d}{suffix}"


def write_part(path: Path, names: Sequence[str], rows: Sequence[Answer]) -> None:
    """Write the answers of one window atomically.

    :param names: the columns, the same in every part.
    """
    content = _parquet(names, rows) if path.suffix == ".parquet" else _text(path.suffix, names, rows)
    replace_file(path, content)


def merge(parts: Sequence[Path], names: Sequence[str], out: Path) -> None:
    """Merge parts, in order, into one file, which atomically replaces ``out``."""
    with replacing_file(out) as file:
        if out.suffix == ".parquet":
            _merge_parquet(parts, names, file)
            return
        file.write(_header(out.suffix, names))
        for part in parts:
            with part.open("rb") as rows:
                shutil.copyfileobj(rows, file)


def _text(suffix: str, names: Sequence[str], rows: Sequence[Answer]) -> bytes:
    text = io.StringIO()
    if suffix == ".csv":
        csv.writer(text, lineterminator="\n").writerows(map(_flat, rows))
    else:
        text.writelines(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)
    return text.getvalue().encode()


def _flat(row: Answer) -> list[str | int | float]:
    return [json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value for value in row]


def _header(suffix: str, names: Sequence[str]) -> bytes:
    return _text(suffix, names, [tuple(names)]) if suffix == ".csv" else b""


def _parquet(names: Sequence[str], rows: Sequence[Answer]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    content = io.BytesIO()
    columns = zip(*map(_flat, rows), strict=True)
    parquet.write_table(pyarrow.table(dict(zip(names, map(list, columns), strict=True))), content)
    return content.getvalue()


def _merge_parquet(parts: Sequence[Path], names: Sequence[str], file: Any) -> None:
    import pyarrow
    from pyarrow import parquet

    if not parts:
        parquet.write_table(pyarrow.table({name: pyarrow.nulls(0) for name in names}), file)
        return
    with parquet.ParquetWriter(file, parquet.read_schema(parts[0])) as writer:
        for part in parts:
            writer.write_table(parquet.read_table(part))
