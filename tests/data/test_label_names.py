"""The names of classes: spelling, order, how many, and who gives them."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from replank.data.config import DataConfig
from replank.system.errors import DataError, FieldError, UsageError
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from tables import save_labels, save_tags, tags_of
from tiny import labels_of

WORDS = "token-classification"
CAFE = "caf\u00e9"


# Spelling


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["pos", "pos ", "neg", "pos"], r"'pos' \(2 times, first on line 2\) and 'pos ' \(1 times, first on line 3\)"),
        (["neg", " pos", "pos"], r"' pos' \(1 times, first on line 3\) and 'pos' \(1 times, first on line 4\)"),
        (["neg", "pos\u00a0", "pos"], r"'pos' \(1 .*\) and 'pos\\xa0' \(1 .*\)"),
        (["neg", "pos\u200b", "pos"], r"'pos' \(1 .*\) and 'pos\\u200b' \(1 .*\)"),
        (["neg", "very  good", "very good"], r"'very  good' \(1 .*\) and 'very good' \(1 .*\)"),
        (["neg", CAFE, unicodedata.normalize("NFD", CAFE)], r"'cafe\\u0301' \(1 .*\) and 'caf\\xe9' \(1 .*\)"),
    ],
)
@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_labels_that_look_the_same_are_refused(tmp_path: Path, suffix: str, labels: list[str], told: str) -> None:
    train = save_labels(tmp_path, suffix, labels)
    with pytest.raises(DataError, match=f"{told} differ only by blanks, invisible characters or Unicode form"):
        DataConfig(train=train).load()


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["Pos", "pos", "neg", "pos"], "'pos' (2 times, first on line 3) and 'Pos' (1 times, first on line 2)"),
        (["True", "true"], "'True' (1 times, first on line 2) and 'true' (1 times, first on line 3)"),
        (["7", "07", "3"], "'07' (1 times, first on line 3) and '7' (1 times, first on line 2)"),
        (["A1", "Ａ１"], "'A1' (1 times, first on line 2) and 'Ａ１' (1 times, first on line 3)"),
    ],
)
def test_labels_of_one_meaning_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, labels: list[str], told: str
) -> None:
    train = save_labels(tmp_path, ".csv", labels)
    assert len(DataConfig(train=train).load().task.labels) == len(set(labels))
    assert caplog.messages == [f"{train}: are {told} one class? They are learnt as 2"]


def test_blanks_at_the_ends_of_a_label_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = save_labels(tmp_path, ".csv", ["neg", "pos "])
    assert DataConfig(train=train).load().task.labels == ("neg", "pos ")
    assert caplog.messages == [f"{train}: the label 'pos ' has blanks at its ends (first on line 3)"]
    dev = save_labels(tmp_path, ".csv", ["pos"], "dev")
    with pytest.raises(DataError, match="label 'pos' is not one of neg, pos ") as refusal:
        DataConfig(train=train, dev=dev).load()
    assert refusal.value.hint == "is it 'pos ', in another spelling?"


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".parquet"])
def test_a_whole_float_is_its_integer(tmp_path: Path, suffix: str) -> None:
    """As pandas writes integers of a column with gaps."""
    save_labels(tmp_path, suffix, [0.0, 1.0, 2.0])
    save_labels(tmp_path, ".csv", ["2", "0.0", "1"], "dev")
    data = DataConfig(data=tmp_path).load()
    assert data.task.labels == ("0", "1", "2")
    assert labels_of(data, "dev") == [2, 0, 1]


@pytest.mark.parametrize("labels", [[1, "1", 0, "0", 1.0], [True, "true", False, "false", True]])
def test_a_value_and_its_text_are_one_class(tmp_path: Path, labels: list[Any]) -> None:
    data = DataConfig(train=save_labels(tmp_path, ".jsonl", labels)).load()
    assert len(data.task.labels) == 2
    assert labels_of(data, "train") == [1, 1, 0, 0, 1]


@pytest.mark.parametrize("label", [["toxic", "insult"], ["insult"], [], [0, 1]])
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_several_labels_of_a_text_are_refused_by_name(tmp_path: Path, suffix: str, kind: str, label: list[Any]) -> None:
    train = save_labels(tmp_path, suffix, [label, label])
    with pytest.raises(DataError, match=r"(line|row) 1: expected one label, found a list of labels, ") as refused:
        DataConfig(train=train, task=kind).load()
    assert refused.value.hint is not None
    assert refused.value.hint.startswith("`task=multi-label` takes any number of labels a text")


@pytest.mark.parametrize("kind", ["classification", WORDS])
def test_a_list_that_is_written_as_text_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "train.csv").write_text("text,label\na b,\"['O', 'B-X']\"\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 2: expected a label, found a list that is written as a text"):
        DataConfig(train=tmp_path / "train.csv", text="text", task=kind).load()


# Order


def test_the_order_depends_on_the_names_alone(tmp_path: Path) -> None:
    """Under any seed of hashing: sets of texts have another order under each."""
    labels = ["7", "07", "007", "1e1", "10", "3"]
    train = save_labels(tmp_path, ".csv", labels)
    code = f"from replank.data.config import DataConfig; print(DataConfig(train={str(train)!r}).load().task.labels)"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert found == {f"{('3', '007', '07', '7', '10', '1e1')}\n"}


# How many


def test_many_classes_are_learnt_where_they_recur(tmp_path: Path) -> None:
    names = [f"class {number:03}" for number in range(230)]
    data = DataConfig(train=save_labels(tmp_path, ".csv", names * 2)).load()
    assert data.task.labels == tuple(names)
    assert labels_of(data, "train") == [*range(230), *range(230)]


def test_any_number_of_classes_is_learnt_where_they_are_named(tmp_path: Path) -> None:
    names = tuple(f"{number / 100:.2f}" for number in range(1, 300) if number % 100)
    data = DataConfig(train=save_labels(tmp_path, ".csv", names), labels=names).load()
    assert data.task.labels == names


def test_measurements_are_no_classes_however_often_they_recur(tmp_path: Path) -> None:
    train = save_labels(tmp_path, ".csv", [f"{number / 100}" for number in range(300)] * 5)
    with pytest.raises(DataError, match="has 300 different labels in 1500 rows") as refusal:
        DataConfig(train=train).load()
    assert refusal.value.hint == "numbers are learnt with `task=regression`"


def test_a_message_names_the_first_of_many(tmp_path: Path) -> None:
    names = tuple(f"c{number}" for number in range(50))
    dev = save_labels(tmp_path, ".csv", ["z"], "dev")
    with pytest.raises(DataError, match=r"label 'z' is not one of c0, c1, .*, c11 and 38 more$"):
        DataConfig(dev=dev, labels=names).load()


# Names that are given


@pytest.mark.parametrize("written", [["O", "B-PER", "O"], [0, 1, 0]])
def test_names_may_be_given_for_numbers_and_for_names(tmp_path: Path, written: list[Any]) -> None:
    train = save_tags(tmp_path, [written, written[1:]])
    data = DataConfig(train=train, task=WORDS, labels=("O", "B-PER", "I-PER")).load()
    assert data.task.labels == ("O", "B-PER", "I-PER")
    assert data.task.metrics == ("entity_f1", "accuracy")
    assert tags_of(data, "train") == [[0, 1, 0], [1, 0]]


def test_numbers_of_words_without_names_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = save_tags(tmp_path, [[0, 3], [1, 0]])
    assert DataConfig(train=train, task=WORDS).load().task.labels == ("0", "1", "3")
    assert caplog.messages == [
        f"{train}: the labels of words are numbers, 0 to 3: without their names no entities are found; give them in "
        "order, such as `labels=O,B-PER,I-PER`"
    ]


def test_names_that_are_given_are_all_there_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = save_labels(tmp_path, ".csv", ["x", "y", "z"])
    with pytest.raises(DataError, match="line 4: label 'z' is not one of y, x"):
        DataConfig(train=train, labels=("y", "x")).load()
    assert labels_of(DataConfig(train=train, labels=("z", "w", "y", "x")).load(), "train") == [3, 2, 0]
    assert caplog.messages == [f"{train}: 1 of 4 classes have no row"]


@pytest.mark.parametrize(
    ("written", "message"),
    [(["0", "2"], "line 3: label '2' is not one of 0, 1"), (["0", "x"], "line 2: label '0' is not one of x, y")],
)
def test_numbers_beyond_the_names_or_among_them_are_refused(tmp_path: Path, written: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        DataConfig(train=save_labels(tmp_path, ".csv", written), labels=("x", "y")).load()


def test_a_name_is_a_name_even_if_it_looks_like_a_number(tmp_path: Path) -> None:
    train = save_labels(tmp_path, ".csv", ["2", "1", "1"])
    assert labels_of(DataConfig(train=train, labels=("1", "2")).load(), "train") == [1, 0, 0]


@pytest.mark.parametrize(
    ("labels", "expected"), [(("no", "yes"), [1, 0]), (("YES", "NO"), [0, 1]), (("0", "1"), [1, 0])]
)
@pytest.mark.parametrize("written", [["yes", "no"], ["1", "0"]])
def test_given_names_find_the_models_outputs(
    tmp_path: Path, written: list[str], labels: tuple[str, ...], expected: list[int]
) -> None:
    """Whatever order and case the model has; one without names has the order that is given."""
    model = Task("t", KINDS["classification"], labels, ("text",), "label", ("accuracy",))
    data = DataConfig(dev=save_labels(tmp_path, ".csv", written, "dev"), labels=("no", "yes")).load(model)
    assert data.task.labels == labels
    assert labels_of(data, "dev") == expected


def test_names_of_another_model_are_refused(tmp_path: Path) -> None:
    model = Task("t", KINDS["classification"], ("no", "yes"), ("text",), "label", ("accuracy",))
    dev = save_labels(tmp_path, ".csv", ["yes"], "dev")
    with pytest.raises(FieldError, match="`labels` is no, maybe; expected the model's labels: no, yes"):
        DataConfig(dev=dev, labels=("no", "maybe")).load(model)


def test_numbers_for_a_model_with_names_get_a_hint(tmp_path: Path) -> None:
    model = Task("t", KINDS["classification"], ("no", "yes"), ("text",), "label", ("accuracy",))
    with pytest.raises(DataError, match="line 2: label '1' is not one of no, yes") as refusal:
        DataConfig(dev=save_labels(tmp_path, ".csv", ["1", "0"], "dev")).load(model)
    assert refusal.value.hint == "if the numbers count the model's labels, say so: `labels=no,yes`"


@pytest.mark.parametrize("labels", [("x",), (), ("x", ""), ("x", " "), ("x", "x"), ("x", "x ")])
def test_names_that_cannot_be_told_apart_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(FieldError, match="`labels` is "):
        DataConfig(data="d", labels=labels)


def test_one_class_is_refused_although_two_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has only one label, 'x'"):
        DataConfig(train=save_labels(tmp_path, ".csv", ["x", "x"]), labels=("x", "y")).load()


def test_numbers_have_no_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`labels` names classes, and tasks of kind regression have none"):
        DataConfig(train=save_labels(tmp_path, ".csv", ["1", "2"]), task="regression", labels=("a", "b")).load()


# Names that the package datasets wrote into a Parquet file


def test_the_names_in_a_parquet_file_are_read(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-X", "I-X"])),
        }
    )
    rows = {"tokens": [["a", "b"], ["c"]], "ner_tags": [[0, 1], [0]]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    data = DataConfig(train=tmp_path / "train.parquet", task=WORDS).load()
    assert data.task.labels == ("O", "B-X", "I-X")
    assert tags_of(data, "train") == [[0, 1], [0]]


@pytest.fixture
def named(tmp_path: Path) -> Path:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg", "odd"])}
    )
    made = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    made.to_parquet(tmp_path / "train.parquet")
    return tmp_path / "train.parquet"


def test_a_number_without_a_name_is_no_label(named: Path) -> None:
    with pytest.raises(DataError, match="row 3: the label '-1' stands for none"):
        DataConfig(train=named).load()
    data = DataConfig(train=named, drop_unlabelled=True).load()
    assert (data.task.labels, labels_of(data, "train")) == (("pos", "neg", "odd"), [1, 0])


def test_a_model_of_numbers_keeps_the_files_order(named: Path) -> None:
    """As releases that did not read the names made them."""
    model = Task("t", KINDS["classification"], ("0", "1", "2"), ("text",), "label", ("accuracy",))
    assert labels_of(DataConfig(train=named, drop_unlabelled=True).load(model), "train") == [1, 0]
