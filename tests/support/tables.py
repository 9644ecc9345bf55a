"""Small data files with the labels that a test is about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from replank.data.examples import Dataset
from tiny import labels_of, save_table


def save_labels(folder: Path, suffix: str, labels: Sequence[Any], name: str = "train") -> Path:
    """A file with one row a label, the texts ``text 0``, ``text 1``, …; NaN and ``None`` as pandas writes them."""
    file, rows = folder / f"{name}{suffix}", [(f"text {row}", label) for row, label in enumerate(labels)]
    match suffix:
        case ".jsonl":
            lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        case ".parquet":
            import pyarrow
            from pyarrow import parquet

            table = {"text": [text for text, _ in rows], "label": list(labels)}
            parquet.write_table(pyarrow.table(table), file)
        case ".csv":
            content = "".join(f"{text},{'' if label is None else label}\n" for text, label in rows)
            file.write_text(f"text,label\n{content}", encoding="utf-8")
        case _:
            save_table(folder, file.name, ["text", "label"], rows)
    return file


def save_tags(folder: Path, rows: Sequence[Sequence[Any]], name: str = "train") -> Path:
    """A JSONL file of words, ``word0``, ``word1``, … in each row, with these tags."""
    lines = [json.dumps({"tokens": [f"word{i}" for i in range(len(tags))], "ner_tags": tags}) for tags in rows]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / f"{name}.jsonl"


def tags_of(data: Dataset, split: str) -> list[list[int]]:
    """The labels of the words of a split."""
    return [row.tolist() for row in labels_of(data, split)]
