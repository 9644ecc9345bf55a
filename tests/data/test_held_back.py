"""A dev split where nothing has a label: held back from the training split, the same each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from replank.data.config import DataConfig
from replank.system.errors import DataError
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from tables import save_labels
from tiny import save_table, save_texts, sentences

MODEL = Task("sentiment", KINDS["classification"], ("bad", "good"), (), "label", ("agreement",))
BOTH = ("train", "dev")


def texts(folder: Path, rows: int) -> Path:
    return save_texts(folder, {"train": rows}) / "train.jsonl"


def test_a_tenth_is_held_back_always_the_same(tmp_path: Path) -> None:
    config = DataConfig(train=texts(tmp_path, 200))
    data, again = (config.load(MODEL, without_labels=BOTH) for _ in range(2))
    train, dev = data.split("train"), data.split("dev")
    assert data.digests == again.digests
    assert (train.labels, dev.labels, train.second) == (None, None, None)
    different = {text for text, _ in sentences(200, 0)}
    assert len(dev) == len(different) // 10
    assert {*train.first} | {*dev.first} == different
    assert not {*train.first} & {*dev.first}
    # That it was judged without labels is nothing that labelled rows are scored by.
    assert data.task.metrics == ("accuracy", "macro_f1")


def test_pairs_stay_pairs(tmp_path: Path) -> None:
    rows = [(f"one {row}", f"two {row}") for row in range(60)]
    table = save_table(tmp_path, "train.tsv", ("a", "b"), rows)
    data = DataConfig(train=table, text="a", text_pair="b").load(MODEL, without_labels=BOTH)
    dev = data.split("dev")
    assert list(zip(dev.first, dev.second or (), strict=True)) == [
        (first, f"two {first.split()[1]}") for first in dev.first
    ]
    assert len(dev) == 6


def test_a_dev_split_and_labels_leave_the_data_as_it_is(tmp_path: Path) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text(json.dumps({"text": "a film"}), encoding="utf-8")
    with_dev = DataConfig(train=texts(tmp_path, 50), dev=more).load(MODEL, without_labels=BOTH)
    assert len(with_dev.split("dev")) == 1
    assert len(with_dev.split("train")) == 50
    labelled = DataConfig(train=save_labels(tmp_path, ".jsonl", ["bad", "good"] * 30))
    assert list(labelled.load(MODEL, without_labels=BOTH).splits) == ["train"]


def test_what_cannot_be_learned_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="39 different texts to learn from; expected 40 or more"):
        rows = [(f"text {row % 39}",) for row in range(80)]
        DataConfig(train=save_table(tmp_path, "few.tsv", ("text",), rows)).load(MODEL, without_labels=BOTH)
    with pytest.raises(DataError, match="no column 'label'"):
        DataConfig(train=texts(tmp_path, 50)).load(MODEL)
