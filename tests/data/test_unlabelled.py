"""Rows without a label: refused by line, or left out where that is asked for; never a class."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from replank.data.config import DataConfig
from replank.system.errors import DataError
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from tables import save_labels, save_tags, tags_of
from tiny import labels_of

WORDS = "token-classification"
LEFT_OUT = "`drop_unlabelled=True` leaves out rows without a label"


@pytest.mark.parametrize("missing", [None, math.nan])
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_nothing_is_no_label(tmp_path: Path, suffix: str, missing: Any) -> None:
    """null, and the NaN that pandas writes into JSON."""
    labels = [1.0, 0.0, missing, 1.0] if suffix == ".parquet" else ["b", "a", missing, "b"]
    train = save_labels(tmp_path, suffix, labels)
    with pytest.raises(
        DataError, match=r"train\.\w+, (line|row) 3: the label is empty \(null, NaN or no key\)"
    ) as refusal:
        DataConfig(train=train).load()
    assert refusal.value.hint == LEFT_OUT
    data = DataConfig(train=train, drop_unlabelled=True).load()
    assert data.task.labels == (("0", "1") if suffix == ".parquet" else ("a", "b"))
    assert data.split("train").first == ["text 0", "text 1", "text 3"]
    assert labels_of(data, "train") == [1, 0, 1]


def test_a_key_that_a_line_lacks_is_no_label(tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    train.write_text('{"text": "a", "label": "x"}\n{"text": "b"}\n{"text": "c", "label": "y"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2: the label is empty"):
        DataConfig(train=train).load()
    assert DataConfig(train=train, drop_unlabelled=True).load().split("train").first == ["a", "c"]


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("mark", ["nan", "NaN", "None", "null", "<NA>", "NaT", "N/A", "NA", " nan "])
def test_a_word_for_nothing_is_no_label(tmp_path: Path, suffix: str, mark: str) -> None:
    train = save_labels(tmp_path, suffix, ["a", "b", "a", mark])
    stripped = mark.strip()
    with pytest.raises(DataError, match=rf"(line 5|line 4|row 4): the label '{stripped}' stands for none") as refusal:
        DataConfig(train=train).load()
    assert refusal.value.hint == f"{LEFT_OUT}; if {mark!r} is a class, name all classes with `labels`"
    assert labels_of(DataConfig(train=train, drop_unlabelled=True).load(), "train") == [0, 1, 0]


def test_a_class_may_have_such_a_name_where_it_is_named(tmp_path: Path) -> None:
    train = save_labels(tmp_path, ".csv", ["EU", "NA", "EU"])
    assert labels_of(DataConfig(train=train, labels=("EU", "NA")).load(), "train") == [0, 1, 0]
    model = Task("t", KINDS["classification"], ("NA", "EU"), ("text",), "label", ("accuracy",))
    assert labels_of(DataConfig(train=train).load(model), "train") == [1, 0, 1]


@pytest.mark.parametrize("name", ["none", "No", "missing", "0"])
def test_an_honest_name_is_a_class(tmp_path: Path, name: str) -> None:
    train = save_labels(tmp_path, ".csv", ["x", name, "y"])
    assert set(DataConfig(train=train).load().task.labels) == {"x", "y", name}


@pytest.mark.parametrize("others", [["0", "1"], ["neg", "pos"], [0, 1]])
@pytest.mark.parametrize("mark", [-1, -100, -1.0])
def test_a_negative_number_beside_other_labels_is_no_label(tmp_path: Path, others: list[Any], mark: float) -> None:
    suffix = ".csv" if isinstance(others[0], str) else ".jsonl"
    train = save_labels(tmp_path, suffix, [*others, mark])
    with pytest.raises(DataError, match=r"the label '-1(00)?(\.0)?' stands for none"):
        DataConfig(train=train).load()
    assert labels_of(DataConfig(train=train, drop_unlabelled=True).load(), "train") == [0, 1]


@pytest.mark.parametrize("labels", [["-1", "1"], ["-2", "-1", "0", "1"]])
def test_minus_one_is_a_class_among_negative_numbers_or_of_two(tmp_path: Path, labels: list[str]) -> None:
    assert DataConfig(train=save_labels(tmp_path, ".csv", labels)).load().task.labels == tuple(labels)


def test_minus_one_is_a_class_where_it_is_named(tmp_path: Path) -> None:
    train = save_labels(tmp_path, ".csv", ["1", "-1", "0"])
    assert labels_of(DataConfig(train=train, labels=("-1", "0", "1")).load(), "train") == [2, 0, 1]


def test_minus_one_is_refused_where_a_models_labels_are_known(tmp_path: Path) -> None:
    dev = save_labels(tmp_path, ".csv", ["no", "-1"], "dev")
    model = Task("t", KINDS["classification"], ("no", "yes"), ("text",), "label", ("accuracy",))
    with pytest.raises(DataError, match="line 3: the label '-1' stands for none"):
        DataConfig(dev=dev).load(model)
    assert len(DataConfig(dev=dev, drop_unlabelled=True).load(model).split("dev")) == 1


@pytest.mark.parametrize("tags", [[0, -100], [None, 1], [], ["nan", 0]])
def test_a_word_without_a_label_is_refused_with_its_row(tmp_path: Path, tags: list[Any]) -> None:
    train = save_tags(tmp_path, [[0, 1], tags, [0, 2]])
    with pytest.raises(DataError, match=r"train\.jsonl, line 2: (a word has no label in|the label is empty)"):
        DataConfig(train=train, task=WORDS).load()
    data = DataConfig(train=train, task=WORDS, drop_unlabelled=True).load()
    assert data.task.labels == ("0", "1", "2")
    assert tags_of(data, "train") == [[0, 1], [0, 2]]


@pytest.mark.parametrize("missing", [None, math.nan, "nan", ""])
def test_no_number_is_no_label_of_regression(tmp_path: Path, missing: Any) -> None:
    train = save_labels(tmp_path, ".jsonl", [1.5, missing, -1])
    with pytest.raises(DataError, match="line 2: the label"):
        DataConfig(train=train, task="regression").load()
    data = DataConfig(train=train, task="regression", drop_unlabelled=True).load()
    assert labels_of(data, "train") == [1.5, -1.0]


def test_infinity_is_refused_whatever_is_asked(tmp_path: Path) -> None:
    train = save_labels(tmp_path, ".jsonl", [1.5, math.inf])
    with pytest.raises(DataError, match="line 2: expected a finite number as label, found 'inf'"):
        DataConfig(train=train, task="regression", drop_unlabelled=True).load()


def test_what_is_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = save_labels(tmp_path, ".csv", ["a", "b", "nan", None, "nan"])
    with caplog.at_level("INFO"):
        DataConfig(train=train, drop_unlabelled=True).load()
    assert caplog.messages == [
        f"{train}: 3 of 5 rows have no label and are left out (2: the label 'nan' stands for none; "
        "1: the label is empty)"
    ]


def test_a_split_without_any_label_is_refused(tmp_path: Path) -> None:
    save_labels(tmp_path, ".csv", ["a", "b"])
    save_labels(tmp_path, ".csv", ["", "nan"], "dev")
    with pytest.raises(DataError, match=r"dev\.csv: no row has a label in the column 'label'"):
        DataConfig(data=tmp_path, drop_unlabelled=True).load()


@pytest.mark.parametrize("missing", ["-1", "-100", "", "nan"])
def test_a_test_split_may_have_none_at_all_but_not_some(tmp_path: Path, missing: str) -> None:
    save_labels(tmp_path, ".csv", ["a", "b"])
    save_labels(tmp_path, ".csv", [missing, missing], "test")
    assert DataConfig(data=tmp_path).load().split("test").labels is None
    save_labels(tmp_path, ".csv", [missing, "a"], "test")
    with pytest.raises(DataError, match=r"test\.csv, line 2: the label"):
        DataConfig(data=tmp_path).load()


def test_words_of_a_test_split_may_have_none(tmp_path: Path) -> None:
    save_tags(tmp_path, [["O", "B-X"], ["O"]])
    save_tags(tmp_path, [[-100, -100], [-1]], "test")
    assert DataConfig(data=tmp_path, task=WORDS).load().split("test").labels is None


# Texts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (math.nan, "nothing (null, NaN or a missing key)"),
        (None, "nothing (null, NaN or a missing key)"),
        (["a", "b"], "a list"),
        ({"en": "a"}, "an object"),
    ],
)
def test_what_is_no_text_is_refused_with_its_row(tmp_path: Path, text: Any, found: str) -> None:
    rows = [{"text": "one", "label": "a"}, {"text": text, "label": "b"}]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(DataError) as refusal:
        DataConfig(train=tmp_path / "train.jsonl").load()
    assert refusal.value.message.endswith(f"train.jsonl, line 2: expected a text in the column 'text', found {found}")


def test_a_row_that_is_left_out_needs_no_text(tmp_path: Path) -> None:
    content = '{"text": null, "label": null}\n{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'
    (tmp_path / "train.jsonl").write_text(content, encoding="utf-8")
    data = DataConfig(train=tmp_path / "train.jsonl", drop_unlabelled=True).load()
    assert data.split("train").first == ["a", "b"]


def test_empty_texts_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,x\n,y\nnan,y\nb,x\n", encoding="utf-8")
    data = DataConfig(train=tmp_path / "train.csv").load()
    assert data.split("train").first == ["a", "", "nan", "b"]
    expected = f"{tmp_path}/train.csv, line 3: the text in the column 'text' is ''; 2 of 4 are empty or mean it"
    assert caplog.messages == [expected]
