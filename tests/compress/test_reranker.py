"""Rerankers: trained on labelled passages, and made smaller by their own scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from commands import Replank
from plain_folders import with_head
from replank.data.config import DataConfig
from replank.models.source import open_source
from replank.runtime.evaluate import answer_rows
from replank.runtime.load import load_model
from replank.system.errors import DataError
from replank_compress.finetune import finetune
from replank_compress.methods import METHODS
from replank_compress.successor import compress
from replank_compress.training.config import FinetuneConfig
from tiny import GOOD, save_table, sentences
from training_runs import SHORT


def passages(queries: int, seed: int) -> list[tuple[int, str, str, int]]:
    """Queries for praise with four passages each, of which those that praise fit."""
    rows = []
    for query in range(queries):
        found = sentences(4, seed * 1000 + query)
        rows += [(query, GOOD[query % 6], text, int(label == "positive")) for text, label in found]
    return rows


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    folder = tmp_path_factory.mktemp("passages")
    columns = ["query_id", "query", "passage", "label"]
    for seed, (split, queries) in enumerate({"train": 120, "dev": 24}.items(), 1):
        save_table(folder, f"{split}.tsv", columns, passages(queries, seed))
    return DataConfig(dataset="answers", data=folder, task="reranker")


@pytest.fixture(scope="module")
def ranker(encoder: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ranker") / "one"
    return finetune(open_source(encoder), out, FinetuneConfig(**SHORT | {"epochs": 8, "batch_size": 16}), data).path


def test_passages_are_scored_by_query(ranker: Path, data: DataConfig) -> None:
    source = open_source(ranker)
    assert source.quality is not None and source.quality.rows == 24
    assert list(source.quality.metrics) == ["ndcg_at_10", "mrr_at_10", "map"]
    answers = answer_rows(load_model(source), data.load(source.task), "dev")
    assert [len(row) for row in answers.predicted] == [4] * 24


def test_a_successor_learns_its_predecessors_scores_without_labels(
    ranker: Path, data: DataConfig, tmp_path: Path
) -> None:
    source = open_source(ranker)
    rows = [row[1:3] for row in passages(120, 7)]
    table = save_table(tmp_path, "train.tsv", ["query", "passage"], rows)
    unlabelled = replace(data, data=None, train=table, dev=Path(str(data.data)) / "dev.tsv")
    made = compress(source, tmp_path / "two", METHODS["theseus"](**SHORT | {"epochs": 6, "layers": 2}), unlabelled)
    assert replace(made.manifest.task, query_column="query_id") == source.task
    first, second = zip(*rows, strict=True)
    ours, theirs = (load_model(each).logits(first, second)[:, 0] for each in (open_source(made.path), source))
    assert np.square(ours - theirs).mean() < 0.3 * theirs.var()
    with pytest.raises(DataError, match="no column 'label'"):
        compress(source, tmp_path / "three", METHODS["truncate"](layers=2), unlabelled)


def test_the_command_line_ranks_passages(replank: Replank, tmp_path: Path) -> None:
    folder = with_head(tmp_path / "ranker", "SequenceClassification", 1)
    texts = ["a dull film", "a lovely plot", "music"]
    ranked = load_model(open_source(folder)).rank("good", texts)
    done = replank("predict", folder, "--query", "good", *texts)
    assert done.out.splitlines() == [f"{found.score:.4f}\t{texts[found.index]}" for found in ranked]
    lines = replank("predict", folder, "--query", "good", "--json", stdin="\n".join(texts).encode()).out.splitlines()
    assert [json.loads(line)["index"] for line in lines] == [found.index for found in ranked]
    nothing = replank("predict", folder, "--query", "good", stdin=b"")
    assert (nothing.code, "a query needs some to rank" in nothing.err) == (2, True)


def test_a_cross_encoders_folder_takes_grouped_data(data: DataConfig, tmp_path: Path) -> None:
    source = open_source(with_head(tmp_path / "plain", "SequenceClassification", 1))
    answers = answer_rows(load_model(source, task=data.load(source.task).task), data.load(source.task), "dev")
    assert len(answers) == 24
