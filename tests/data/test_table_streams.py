"""Parquet files, and tables that are read from the middle."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from replank.data.tables import open_table, read_table
from replank.system.errors import DataError


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# Parquet


def write_parquet(path: Path, columns: dict[str, Any], **settings: Any) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path, **settings)
    return path


def test_parquet_values_become_texts(tmp_path: Path) -> None:
    """Of the types that data sets have: labels as numbers, lists of words, dates."""
    columns = {
        "text": ["a", None, "ü\n\t"],
        "label": [1, 0, 1],
        "score": [1.0, 0.25, None],
        "words": [["a", "ü"], [], ["c"]],
        "flag": [True, False, None],
        "raw": [b"a", b"\xff", None],
        "day": [datetime.date(2024, 2, 29)] * 3,
    }
    table = read_table(write_parquet(tmp_path / "a.parquet", columns))
    assert table.columns == tuple(columns)
    assert table.rows == [
        ("a", "1", "1", ["a", "ü"], "true", "a", "2024-02-29"),
        (None, "0", "0.25", [], "false", "\ufffd", "2024-02-29"),
        ("ü\n\t", "1", None, ["c"], None, None, "2024-02-29"),
    ]
    assert table.lines == [1, 2, 3]
    assert table.where(2) == f"{tmp_path}/a.parquet, row 2"


def test_parquet_and_jsonl_are_read_alike(tmp_path: Path) -> None:
    rows = [{"words": ["good", "film"], "tags": [0, 1]}, {"words": ["bad"], "tags": [1]}]
    lines = read_table(write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows))))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    table = read_table(write_parquet(tmp_path / "a.parquet", columns))
    assert (table.columns, table.rows) == (lines.columns, lines.rows)


def test_broken_parquet_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"text": ["good film"] * 5000}, compression="gzip")
    content = bytearray(path.read_bytes())
    content[20:60] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet is damaged: "):
        read_table(path)
    with pytest.raises(DataError, match=r"b\.parquet is not a Parquet file: "):
        read_table(write(tmp_path, "b.parquet", "text\n"))
    with pytest.raises(DataError, match="has a header and no rows"):
        read_table(write_parquet(path, {"text": []}))


# Rows from the middle


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".parquet"])
def test_rows_are_read_from_any_that_was_seen(tmp_path: Path, suffix: str) -> None:
    values = [f"{row}é" + ("\n,\r\n" if suffix == ".csv" else "") for row in range(600)]
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        write_parquet(path, {"text": values, "row": range(600)}, row_group_size=70)
    elif suffix == ".jsonl":
        lines = [json.dumps({"text": text, "row": row}, ensure_ascii=False) for row, text in enumerate(values)]
        write(tmp_path, path.name, "\ufeff\n" + "\r\n\n".join(lines))
    else:
        mark = '"' if suffix == ".csv" else ""
        lines = [f"{mark}{text}{mark}{',' if mark else chr(9)}{row}" for row, text in enumerate(values)]
        write(tmp_path, path.name, "\ufeff" + f"text{',' if mark else chr(9)}row\n\n" + "\n\n".join(lines))
    with open_table(path) as file:
        found = list(file.rows(("row", "text")))
        assert [row.values for row in found] == [(str(row), text) for row, text in enumerate(values)]
        for first in (599, 0, 300, 255, 256, 1):
            assert list(file.rows(("row", "text"), found[first].start)) == found[first:]
    with open_table(path) as file:
        assert next(iter(file.rows(("text",), found[400].start))).values == (values[400],)


def test_a_csv_of_carriage_returns_is_read_from_the_middle(tmp_path: Path) -> None:
    with open_table(write(tmp_path, "a.csv", 'text,label\r"a\rb",1\rc,0\rd,1')) as file:
        rows = list(file.rows(file.columns))
        assert [(row.start.line + 1, row.values) for row in rows] == [
            (2, ("a\rb", "1")),
            (4, ("c", "0")),
            (5, ("d", "1")),
        ]
        assert next(iter(file.rows(("text",), rows[1].start))).values == ("c",)


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2 is longer than 40 MB"):
        read_table(write(tmp_path, "a.tsv", b"text\n" + b"a" * 40_000_001))
