"""Files of texts for the tests of `replank batch`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from replank.batch.windows import cut
from replank.runtime.model import Model
from tiny import sentences

ROWS = 300


def texts() -> list[str]:
    """Sentences, with what is hard to keep on one line among them."""
    made = [text for text, _ in sentences(ROWS, 5)]
    made[3], made[7], made[9] = 'a "good"\nfilm,\twith\r\nlines', "", "🚢 \u2028 bad \x0c film"
    return made


def write(path: Path, values: list[str]) -> Path:
    ids = [f"id-{row}" for row in range(len(values))]
    if path.suffix == ".jsonl":
        lines = [json.dumps({"sentence": value, "key": key}) for value, key in zip(values, ids, strict=True)]
        path.write_text("\n\n".join(lines), encoding="utf-8")
    elif path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"key": ids, "sentence": values}), path, row_group_size=70)
    else:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["key", "sentence"])
            writer.writerows(zip(ids, values, strict=True))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        from pyarrow import parquet

        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        return rows
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def expected(model: Model, values: list[str]) -> list[tuple[str, float]]:
    return [
        (scores[0].label, scores[0].score) for scores in model.task.kind.scores(model.task.labels, model.logits(values))
    ]


def in_small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replank.batch.run.cut", lambda file, columns: cut(file, columns, window_rows=32))
