"""Passages by query, from rows and from lists; and what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.system.errors import DataError
from tiny import save_table

ROWS = [("7", "who", "a man", 0), ("7", "who", "a king", 1), ("9", "what", "a film", 1)]


def jsonl(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "train.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> Dataset:
    return DataConfig(task="reranker", train=path).load()


def test_rows_and_lists_are_the_same_data(tmp_path: Path) -> None:
    rows = load(save_table(tmp_path, "train.tsv", ["query_id", "query", "passage", "label"], ROWS))
    lists = load(
        jsonl(
            tmp_path,
            {"query": "who", "passages": ["a man", "a king"], "labels": [0, 1]},
            {"query": "what", "passages": ["a film"], "labels": [1]},
        )
    )
    assert rows.task.query_column == lists.task.query_column == "query_id"
    assert rows.task.metrics[0] == "ndcg_at_10"
    for data in (rows, lists):
        examples = data.split("train")
        assert examples.second == ["a man", "a king", "a film"]
        assert examples.queries is not None and examples.queries.tolist() == [0, 0, 1]
        assert examples.judged == 2
        assert examples.labels is not None and examples.labels.tolist() == [0, 1, 1]
    assert rows.digests == lists.digests


def test_positives_and_negatives(tmp_path: Path) -> None:
    examples = load(jsonl(tmp_path, {"query": "q", "positive": ["a"], "negative": ["b", "c"]})).split("train")
    assert examples.labels is not None and examples.labels.tolist() == [1, 0, 0]


def test_without_an_id_the_text_tells_queries(tmp_path: Path) -> None:
    data = load(save_table(tmp_path, "train.tsv", ["query", "passage", "label"], [row[1:] for row in ROWS]))
    queries = data.split("train").queries
    assert queries is not None and queries.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "q", "passages": [], "labels": []}, "line 1: the query has no passages"),
        ({"query": "q", "passages": ["a", "b"], "labels": [1]}, "1 labels for 2 passages"),
        ({"query": "q", "passages": "a", "labels": [1]}, "expected a list of texts in 'passages'"),
        ({"query": "q", "passages": ["a"] * 10_001, "labels": [1] * 10_001}, "10001 passages; at most 10000"),
        ({"query": "q", "passages": ["a"], "labels": [float("nan")]}, "the label is empty"),
        ({"query": "q", "passages": ["a"], "labels": [2]}, "expected a probability as label"),
    ],
)
def test_rows_that_cannot_be_ranked(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(jsonl(tmp_path, row))


def test_a_reranker_takes_a_query_and_a_passage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a query and a passage"):
        load(save_table(tmp_path, "train.tsv", ["text", "label"], [("a", 1)]))
