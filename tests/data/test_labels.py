"""Labels, of texts and of words: as files write them, as models count them."""

from __future__ import annotations

from pathlib import Path

import pytest

from replank.data.config import DataConfig
from replank.system.errors import DataError, UsageError
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from tiny import labels_of, save_table

MODEL = Task("mood", KINDS["classification"], ("good", "bad"), ("review",), "mood", ("accuracy", "macro_f1"), 40)


def test_numbers_are_labels_in_order_of_value(tmp_path: Path) -> None:
    train = save_table(tmp_path, "train.tsv", ["text", "label"], [("t", label) for label in ("10", "9", "-2", "2.5")])
    assert DataConfig(train=train).load().task.labels == ("-2", "2.5", "9", "10")


def test_glue_files_may_write_indices_for_names(tmp_path: Path) -> None:
    save_table(tmp_path, "train.tsv", ["sentence1", "sentence2", "label"], [("a", "b", 1), ("c", "d", 0)])
    save_table(tmp_path, "dev.tsv", ["sentence1", "sentence2", "label"], [("e", "f", "equivalent")])
    data = DataConfig(dataset="mrpc", data=tmp_path).load()
    assert data.task.labels == ("not_equivalent", "equivalent")
    assert data.task.metrics == ("f1", "accuracy")
    assert data.task.columns == ("sentence1", "sentence2")
    assert (labels_of(data, "train"), labels_of(data, "dev")) == ([1, 0], [1])


def test_regression_reads_numbers(tmp_path: Path) -> None:
    save_table(tmp_path, "train.tsv", ["sentence1", "sentence2", "label"], [("a", "b", "3.75"), ("c", "d", " 1e0 ")])
    data = DataConfig(dataset="stsb", data=tmp_path).load()
    assert (data.task.kind.name, data.task.labels, data.task.outputs) == ("regression", (), 1)
    assert data.task.metrics == ("pearson", "spearman")
    assert labels_of(data, "train") == [3.75, 1.0]
    own = DataConfig(train=tmp_path / "train.tsv", text="sentence1", task="regression").load()
    assert (own.task.kind.name, own.task.is_pair, own.task.metrics) == ("regression", False, ("pearson", "spearman"))


def test_a_label_that_the_model_lacks_is_refused_although_train_has_it(tmp_path: Path) -> None:
    save_table(tmp_path, "train.tsv", ["review", "mood"], [("a", "bad"), ("b", "awful")])
    with pytest.raises(DataError, match=r"train\.tsv, line 3: label 'awful' is not one of good, bad"):
        DataConfig(data=tmp_path).load(MODEL)


# What is refused


def test_a_label_in_dev_that_train_lacks_names_its_line(tmp_path: Path) -> None:
    save_table(tmp_path, "train.tsv", ["text", "label"], [("a", "x"), ("b", "y")])
    save_table(tmp_path, "dev.tsv", ["text", "label"], [("c", "x"), ("d", "z")])
    with pytest.raises(DataError, match=r"dev\.tsv, line 3: label 'z' is not one of x, y") as refusal:
        DataConfig(data=tmp_path).load()
    assert refusal.value.hint == "every label must occur in the training split or among `labels`"


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_an_empty_label_in_train_is_no_class(tmp_path: Path, suffix: str) -> None:
    content = {
        "csv": 'text,label\na,x\n"b\nb",\nc,y\n',
        "jsonl": '{"text": "a", "label": "x"}\n\n{"text": "b", "label": null}\n{"text": "c", "label": "y"}\n',
    }[suffix]
    train = tmp_path / f"train.{suffix}"
    train.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"train\.{suffix}, line 3: the label is empty"):
        DataConfig(train=train).load()


def test_an_empty_label_in_dev_is_refused(tmp_path: Path) -> None:
    save_table(tmp_path, "train.tsv", ["text", "label"], [("a", "x"), ("b", "y")])
    save_table(tmp_path, "dev.tsv", ["text", "label"], [("c", "")])
    with pytest.raises(DataError, match=r"dev\.tsv, line 2: the label is empty") as refusal:
        DataConfig(data=tmp_path).load()
    assert refusal.value.hint == "`drop_unlabelled=True` leaves out rows without a label"


def test_one_label_only_is_nothing_to_learn(tmp_path: Path) -> None:
    train = save_table(tmp_path, "train.tsv", ["text", "label"], [("a", "x"), ("b", "x")])
    with pytest.raises(DataError, match="has only one label, 'x'; there is nothing to learn"):
        DataConfig(train=train).load()


@pytest.mark.parametrize(
    ("label", "hint"),
    [
        ("{:.2f}", "numbers are learnt with `task=regression`"),
        ("name {}", "is `label` the right column? If so, name the classes with `labels`"),
    ],
)
def test_too_many_labels_get_a_hint(tmp_path: Path, label: str, hint: str) -> None:
    train = save_table(tmp_path, "train.tsv", ["text", "label"], [("a", label.format(row)) for row in range(201)])
    with pytest.raises(
        DataError, match="has 201 different labels in 201 rows; expected 200 at most, or classes"
    ) as refusal:
        DataConfig(train=train).load()
    assert refusal.value.hint == hint


@pytest.mark.parametrize("label", ["high", "inf", "1e300", "1,5"])
def test_a_number_that_is_none_names_its_line(tmp_path: Path, label: str) -> None:
    train = save_table(tmp_path, "train.tsv", ["text", "label"], [("a", "1"), ("b", label)])
    with pytest.raises(DataError, match=f"line 3: expected a finite number as label, found '{label}'"):
        DataConfig(train=train, task="regression").load()


def test_labels_take_a_training_split_or_a_model(tmp_path: Path) -> None:
    dev = save_table(tmp_path, "dev.tsv", ["text", "label"], [("a", "x"), ("b", "y")])
    with pytest.raises(DataError, match="the labels are not known"):
        DataConfig(dev=dev).load()


def mnli_model(*labels: str) -> Task:
    return Task("nli", KINDS["classification"], labels, ("premise", "hypothesis"), "label", ("accuracy",))


@pytest.mark.parametrize("written", [("0", "2", "1"), ("entailment", "contradiction", "neutral")])
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("entailment", "neutral", "contradiction"), [0, 2, 1]),
        (("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), [2, 0, 1]),
        (("0", "1", "2"), [0, 2, 1]),
    ],
)
def test_glues_labels_are_found_wherever_the_model_has_them(
    tmp_path: Path, written: tuple[str, ...], labels: tuple[str, ...], expected: list[int]
) -> None:
    save_table(tmp_path, "dev.tsv", ["premise", "hypothesis", "label"], [("a", "b", label) for label in written])
    data = DataConfig(dataset="mnli", data=tmp_path).load(mnli_model(*labels))
    assert labels_of(data, "dev") == expected


def test_labels_of_another_set_than_the_models_are_refused(tmp_path: Path) -> None:
    save_table(tmp_path, "dev.tsv", ["premise", "hypothesis", "label"], [("a", "b", 0)])
    with pytest.raises(DataError, match="labels are yes, no, maybe; those of mnli are entailment, neutral, contradict"):
        DataConfig(dataset="mnli", data=tmp_path).load(mnli_model("yes", "no", "maybe"))
    with pytest.raises(DataError, match="label '0' is not one of yes, no, maybe"):
        DataConfig(data=tmp_path, text="premise", text_pair="hypothesis").load(mnli_model("yes", "no", "maybe"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"tokens": ["a", 1.5], "tags": ["O", "B-X"]}', "line 1: expected a list of words, found"),
        ('{"tokens": ["a", "b"], "tags": ["O", true]}', "line 1: expected a list of words or labels, found"),
        ('{"tokens": ["a", null], "tags": ["O", "B-X"]}', "line 1: expected a list of words"),
        ('{"tokens": [], "tags": []}', "line 1: the label is empty"),
        ('{"tokens": [], "tags": ["O"]}', "line 1: expected a list of words"),
        ('{"sentence1": "a", "sentence2": "b", "tags": ["O", "B-X"]}', "cannot tell the text column"),
    ],
)
def test_words_that_are_none(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "train.jsonl").write_text(row)
    with pytest.raises(DataError, match=message):
        DataConfig(train=tmp_path / "train.jsonl", task="token-classification").load(
            Task("t", KINDS["token-classification"], ("B-X", "O"), (), "tags", ("accuracy",))
        )


def test_brackets_are_words_in_a_table(tmp_path: Path) -> None:
    save_table(tmp_path, "train.tsv", ["tokens", "tags"], [("[1] see", "X Y"), ("a [1, 2]", "X Y Y")])
    data = DataConfig(train=tmp_path / "train.tsv", task="token-classification").load()
    assert list(data.split("train").first) == ["[1] see", "a [1, 2]"]


def test_words_come_in_single_texts(tmp_path: Path) -> None:
    save_table(tmp_path, "train.tsv", ["a", "b", "tags"], [("a", "b", "X"), ("a", "b", "Y")])
    config = DataConfig(train=tmp_path / "train.tsv", task="token-classification", text="a", text_pair="b")
    with pytest.raises(UsageError, match="take single texts, not pairs"):
        config.load()


def test_a_models_label_column_holds_where_a_table_has_it_and_the_usual_names_elsewhere(tmp_path: Path) -> None:
    model = Task("t", KINDS["token-classification"], ("B-X", "O"), (), "label", ("accuracy",))
    file = tmp_path / "train.jsonl"
    file.write_text('{"tokens": ["a"], "ner_tags": ["O"], "more": ["B-X"]}')
    assert DataConfig(train=file).load(model).task.label_column == "ner_tags"
    own = Task("t", KINDS["token-classification"], ("B-X", "O"), (), "more", ("accuracy",))
    data = DataConfig(train=file).load(own)
    assert data.task.label_column == "more"
    lost = Task("t", KINDS["classification"], ("B-X", "O"), ("text",), "mood", ("accuracy",))
    save_table(tmp_path, "train.tsv", ["text", "feeling"], [("a", "O")])
    with pytest.raises(DataError, match="has no column 'mood'"):
        DataConfig(train=tmp_path / "train.tsv").load(lost)
