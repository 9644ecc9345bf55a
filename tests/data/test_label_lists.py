"""Several labels a text: lists, columns of 0 and 1, and values with separators say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replank.data.config import DataConfig
from replank.data.training_examples import LabelledExamples
from replank.system.errors import DataError, FieldError, UsageError
from tables import save_labels
from tiny import labels_of

ROWS = [["joy", "fear"], [], ["joy"], ["anger"]]
LABELS = ("anger", "fear", "joy")
HOLDS = [[False, True, True], [False] * 3, [False, False, True], [True, False, False]]


def columns(folder: Path, rows: list[list[Any]], suffix: str = ".csv", name: str = "train") -> Path:
    file = folder / f"{name}{suffix}"
    if suffix == ".jsonl":
        keys = ("text", *LABELS)
        lines = [json.dumps(dict(zip(keys, [f"text {n}", *row], strict=True))) for n, row in enumerate(rows)]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        lines = [",".join(map(str, [f"text {number}", *row])) for number, row in enumerate(rows)]
        file.write_text("\n".join(["text,anger,fear,joy", *lines]) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_lists(tmp_path: Path, suffix: str) -> None:
    data = DataConfig(train=save_labels(tmp_path, suffix, ROWS), task="multi-label").load()
    assert (data.task.kind.name, data.task.labels) == ("multi-label", LABELS)
    assert labels_of(data, "train") == HOLDS


@pytest.mark.parametrize("separator", ["|", ", ", "; "])
def test_values_with_separators(tmp_path: Path, separator: str) -> None:
    values = [f'"{separator.join(row)}"' for row in ROWS]
    train = save_labels(tmp_path, ".csv", values)
    data = DataConfig(train=train, label_separator=separator).load()
    assert (data.task.labels, labels_of(data, "train")) == (LABELS, HOLDS)
    assert data.task.label_separator == separator
    again = DataConfig(dev=train).load(data.task)
    assert labels_of(again, "dev") == HOLDS


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("yes", [1, 1.0, True])
def test_columns_of_0_and_1(tmp_path: Path, suffix: str, yes: Any) -> None:
    rows = [[yes if holds else type(yes)(0) for holds in row] for row in HOLDS]
    data = DataConfig(train=columns(tmp_path, rows, suffix), text="text", label="joy, anger,fear").load()
    assert data.task.labels == ("joy", "anger", "fear")
    assert labels_of(data, "train") == [[row[2], row[0], row[1]] for row in HOLDS]


def test_columns_are_found_by_name_whatever_their_order(tmp_path: Path) -> None:
    train = columns(tmp_path, [[int(holds) for holds in row] for row in HOLDS])
    task = DataConfig(train=train, text="text", label="joy,fear,anger").load().task
    again = DataConfig(dev=train, text="text", label="anger,fear,joy").load(task)
    assert labels_of(again, "dev") == [row[::-1] for row in HOLDS]


def test_a_column_that_no_row_has_is_a_label(tmp_path: Path) -> None:
    train = columns(tmp_path, [[0, 0, 1], [0, 1, 1]])
    assert DataConfig(train=train, text="text", label="anger,fear,joy").load().task.labels == LABELS


def test_a_test_split_whose_labels_were_not_published_has_none(tmp_path: Path) -> None:
    """As in Jigsaw's: -1 in every column."""
    train = columns(tmp_path, [[0, 0, 1], [0, 1, 1]])
    test = columns(tmp_path, [[-1, -1, -1], [-1, -1, -1]], name="test")
    data = DataConfig(train=train, test=test, text="text", label="anger,fear,joy").load()
    assert data.split("test").labels is None
    some = columns(tmp_path, [[-1, -1, -1], [0, 0, 1]], name="dev")
    config = DataConfig(train=train, dev=some, text="text", label="anger,fear,joy", drop_unlabelled=True)
    assert labels_of(config.load(), "dev") == [[False, False, True]]


def test_labels_and_further_texts_without_any_are_one_split(tmp_path: Path) -> None:
    data = DataConfig(train=save_labels(tmp_path, ".jsonl", ROWS), task="multi-label").load()
    train = data.split("train")
    both = train.with_unlabelled(train.head(1))
    assert both.labels is not None
    assert [None if label is None else label.tolist() for label in both.labels] == [*HOLDS, None]
    assert LabelledExamples.__len__ is not None
    assert np.asarray(data.task.kind.target_array(list(both.labels[:4]), 7)).dtype == np.float32


@pytest.mark.parametrize(
    ("suffix", "labels", "settings", "message"),
    [
        (".jsonl", [["joy"], "fear"], {}, r"line 2: the labels are none, and those of line 1 are a list"),
        (".jsonl", ["joy", ["fear"]], {}, r"line 2: the labels are one, and those of line 1 are no list"),
        (".jsonl", [["joy"], ["fear", None]], {}, r"line 2: a label is empty \(null or NaN\) in the list"),
        (".jsonl", [["joy"], ["fear", float("nan")]], {}, r"line 2: a label is empty \(null or NaN\) in the list"),
        (".jsonl", [["joy"], ["fear", "NaN"]], {}, r"line 2: a label is empty \(null or NaN\) in the list"),
        (".jsonl", [["joy"], None, ["fear"]], {}, r"line 2: the label is empty \(null, NaN or no key\)"),
        (".jsonl", [["joy"], ["fear", ["joy"]]], {}, r"line 2: expected a list of words or labels"),
        (".jsonl", [["joy"], {"fear": 1}], {}, r"line 2: the labels are none, and"),
        (".jsonl", [[0, 1, 0], [1, 0, 0]], {}, r"line 1: the label '0' occurs twice in one row"),
        (".jsonl", [["joy"], ["joy"]], {}, r"has only one label, 'joy'"),
        (".csv", ["joy", "joy|fear"], {}, r"line 3: the label 'joy\|fear' holds '\|'"),
        (".csv", ["joy|fear", "NaN"], {"label_separator": "|"}, r"line 3: the label 'NaN' stands for none"),
        (".csv", ["joy|fear", "joy||fear"], {"label_separator": "|"}, r"line 3: a label is empty"),
    ],
)
def test_what_is_no_list_of_labels_is_refused_by_its_line(
    tmp_path: Path, suffix: str, labels: list[Any], settings: dict[str, Any], message: str
) -> None:
    train = save_labels(tmp_path, suffix, labels)
    with pytest.raises(DataError, match=message):
        DataConfig(train=train, task="multi-label", **settings).load()


@pytest.mark.parametrize(
    ("rows", "label", "message"),
    [
        ([[0, 0, 2]], "anger,fear,joy", "line 2: expected 0 or 1 in the column 'joy', found '2'"),
        ([[0, 0, 1], [0, "", 1]], "anger,fear,joy", "line 3: expected 0 or 1 in the column 'fear', found ''"),
        ([[0, 0, 1], ["nan"] * 3], "anger,fear,joy", "line 3: the label is empty"),
        ([[0, 0, 1]], "anger,fears", "has no column 'fears'"),
        ([[0, 0, 1]], "rage,fears", "has no column 'rage,fears'"),
    ],
)
def test_what_is_no_0_or_1_is_refused_by_its_column(
    tmp_path: Path, rows: list[list[Any]], label: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        DataConfig(train=columns(tmp_path, rows), text="text", label=label, task="multi-label").load()


def test_a_label_that_was_not_trained_is_refused_with_the_nearest(tmp_path: Path) -> None:
    train = save_labels(tmp_path, ".jsonl", ROWS)
    dev = save_labels(tmp_path, ".jsonl", [["joy"], ["angry"]], "dev")
    with pytest.raises(DataError, match=r"dev.jsonl, line 2: label 'angry' is not one of anger, fear, joy") as refused:
        DataConfig(train=train, dev=dev, task="multi-label").load()
    assert refused.value.hint == "did you mean 'anger'?"


def test_label_columns_are_all_of_the_models_labels(tmp_path: Path) -> None:
    train = columns(tmp_path, [[0, 0, 1], [1, 0, 0]])
    task = DataConfig(train=train, text="text", label="anger,fear,joy").load().task
    with pytest.raises(DataError, match="the label columns are anger, joy; the labels are anger, fear, joy"):
        DataConfig(dev=train, text="text", label="anger,joy").load(task)


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    train = columns(tmp_path, [[0, 0, 1], [1, 0, 0]])
    with pytest.raises(FieldError, match="label_separator"):
        DataConfig(train=train, label_separator="")
    with pytest.raises(UsageError, match="one column is used twice: text, joy, anger, joy"):
        DataConfig(train=train, text="text", label="joy,anger,joy", labels=("joy", "anger")).load()
    with pytest.raises(UsageError, match="tasks of kind classification have one label a text"):
        DataConfig(train=train, text="text", label="joy,fear", task="classification").load()
