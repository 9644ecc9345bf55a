"""Examples from files: columns, splits, tasks, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replank.data.config import DataConfig
from replank.data.examples import Dataset, Examples
from replank.system.errors import DataError, UsageError
from replank.tasks.glue import GLUE, glue_task
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from tiny import labels_of, save_table

CLASSES = KINDS["classification"]
MODEL = Task("mood", KINDS["classification"], ("good", "bad"), ("review",), "mood", ("accuracy", "macro_f1"), 40)


# What is read


def test_single_files_become_a_task_of_the_users_own(tmp_path: Path) -> None:
    train = save_table(tmp_path, "train.tsv", ["text", "label"], [("one", "b"), ("two", "a"), ("three", "b")])
    dev = save_table(tmp_path, "dev.tsv", ["label", "text"], [("a", "four")])
    data = DataConfig(train=train, dev=dev).load()
    assert data.task == Task(
        "custom", KINDS["classification"], ("a", "b"), ("text",), "label", ("accuracy", "macro_f1"), 128
    )
    assert data.split("train").first == ["one", "two", "three"]
    assert data.split("train").second is None
    assert (labels_of(data, "train"), labels_of(data, "dev")) == ([1, 0, 1], [0])


def test_flags_name_columns_task_and_length(tmp_path: Path) -> None:
    train = save_table(tmp_path, "t.tsv", ["x", "y", "z"], [("a", "b", "yes"), ("c", "d", "no")])
    config = DataConfig(dataset="same", train=train, text="x", text_pair="y", label="z", max_length=9)
    data = config.load()
    assert data.task == Task(
        "same", KINDS["classification"], ("no", "yes"), ("x", "y"), "z", ("accuracy", "macro_f1"), 9
    )
    assert data.split("train").second == ["b", "d"]


def test_glue_files_may_name_columns_as_the_hub_does(tmp_path: Path) -> None:
    save_table(tmp_path, "train.tsv", ["question", "sentence", "label"], [("q", "s", "entailment"), ("r", "t", 1)])
    with pytest.raises(DataError, match="line 3: label '1' is not one of entailment, not_entailment"):
        DataConfig(dataset="qnli", data=tmp_path).load()
    save_table(tmp_path, "train.tsv", ["question", "sentence", "label"], [("q", "s", "entailment")])
    data = DataConfig(dataset="qnli", data=tmp_path).load()
    assert (data.task.columns, data.task.max_length) == (("question", "sentence"), 256)


@pytest.mark.parametrize("empty", [None, "-1", ""])
def test_a_test_split_without_labels_is_read_but_judges_nothing(tmp_path: Path, empty: str | None) -> None:
    for name in ("train.tsv", "dev.tsv"):
        save_table(tmp_path, name, ["text", "label"], [("a", 0), ("b", 1)])
    rows = [("c",), ("d",)] if empty is None else [("c", empty), ("d", empty)]
    save_table(tmp_path, "test.tsv", ["text", "label"][: len(rows[0])], rows)
    data = DataConfig(data=tmp_path).load()
    assert data.split("test").first == ["c", "d"]
    assert data.split("test").labels is None
    assert data.held_out == "dev"


def test_a_labelled_test_split_is_held_out(tmp_path: Path) -> None:
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        save_table(tmp_path, name, ["text", "label"], [("a", 0), ("b", 1)])
    assert DataConfig(data=tmp_path).load().held_out == "test"


def test_splits_may_differ_in_format(tmp_path: Path) -> None:
    save_table(tmp_path, "train.tsv", ["text", "label"], [("a", 0), ("b", 1)])
    (tmp_path / "dev.jsonl").write_text('{"label": 1, "text": "c"}\n', encoding="utf-8")
    (tmp_path / "test.csv").write_text("text,label\nd,0\n", encoding="utf-8")
    data = DataConfig(data=tmp_path).load()
    assert [data.split(name).first for name in ("train", "dev", "test")] == [["a", "b"], ["c"], ["d"]]


# What a model says


def test_a_models_task_holds_where_the_flags_say_nothing(tmp_path: Path) -> None:
    dev = save_table(tmp_path, "dev.tsv", ["text", "review", "mood"], [("not this", "this", "bad"), ("x", "y", "good")])
    data = DataConfig(dev=dev).load(MODEL)
    assert data.task == MODEL
    assert data.split("dev").first == ["this", "y"]
    assert labels_of(data, "dev") == [1, 0]


def test_a_model_is_judged_by_its_own_metrics_where_no_task_is_named(tmp_path: Path) -> None:
    dev = save_table(tmp_path, "dev.tsv", ["review", "mood"], [("this", "bad")])
    model = replace(MODEL, metrics=("f1", "accuracy"))
    assert DataConfig(dev=dev).load(model).task.metrics == ("f1", "accuracy")
    assert DataConfig(dev=dev, task="cola").load(model).task.metrics == ("matthews", "accuracy")


def test_flags_win_over_the_model(tmp_path: Path) -> None:
    dev = save_table(tmp_path, "dev.tsv", ["text", "label"], [("a", "bad")])
    data = DataConfig(dev=dev, text="text", label="label", max_length=7).load(MODEL)
    assert data.task == replace(MODEL, columns=("text",), label_column="label", max_length=7)


def test_columns_that_the_model_knows_but_the_file_lacks_are_guessed(tmp_path: Path) -> None:
    dev = save_table(tmp_path, "dev.tsv", ["sentence", "mood"], [("a", "bad")])
    assert DataConfig(dev=dev).load(MODEL).task.columns == ("sentence",)


def test_a_glue_name_wins_over_a_model_of_another_task(tmp_path: Path) -> None:
    """So that whoever compares the two finds the difference, instead of numbers read as labels."""
    save_table(tmp_path, "dev.tsv", ["sentence1", "sentence2", "label"], [("a", "b", "2.5")])
    assert DataConfig(dataset="stsb", data=tmp_path).load(MODEL).task.kind.name == "regression"
    save_table(tmp_path, "dev.tsv", ["sentence1", "sentence2", "label"], [("a", "b", "2")])
    assert len(DataConfig(dataset="mnli", data=tmp_path, text="sentence1").load(MODEL).task.labels) == 3


def test_a_missing_column_says_which_exist(tmp_path: Path) -> None:
    train = save_table(tmp_path, "train.tsv", ["text", "mood"], [("a", "x"), ("b", "y")])
    with pytest.raises(DataError, match="has no column 'label'; its columns are 'text', 'mood'"):
        DataConfig(train=train).load()
    with pytest.raises(DataError, match="has no column 'body'; its columns are 'text', 'mood'"):
        DataConfig(train=train, text="body", label="mood").load()


def test_texts_that_cannot_be_guessed_are_asked_for(tmp_path: Path) -> None:
    train = save_table(tmp_path, "train.tsv", ["body", "label"], [("a", "x"), ("b", "y")])
    with pytest.raises(
        DataError, match=r"cannot tell the text column of .*; its columns are 'body', 'label'"
    ) as refusal:
        DataConfig(train=train).load()
    assert refusal.value.hint == "name it with `text=COLUMN` (and `text_pair=COLUMN` for pairs)"


@pytest.mark.parametrize(("text", "pair"), [("text", "text"), ("text", "label"), ("label", None)])
def test_a_column_is_not_used_twice(tmp_path: Path, text: str, pair: str | None) -> None:
    train = save_table(tmp_path, "train.tsv", ["text", "label"], [("a", "x"), ("b", "y")])
    with pytest.raises(UsageError, match="one column is used twice: "):
        DataConfig(train=train, text=text, text_pair=pair).load()


def test_a_split_that_is_not_there_is_asked_for(data: DataConfig) -> None:
    dataset = data.load()
    only_dev = Dataset(dataset.task, {"dev": dataset.split("dev")})
    with pytest.raises(DataError, match="the data has no 'test' split; it has dev") as refusal:
        only_dev.split("test")
    assert refusal.value.hint == "give `test=FILE`, or add test.tsv to the folder"
    with pytest.raises(DataError) as refusal:
        only_dev.split("test", otherwise="choose `split=dev`")
    assert refusal.value.hint == "give `test=FILE`, or add test.tsv to the folder, or choose `split=dev`"


def test_files_that_cannot_be_opened_are_refused_before_they_are_read(tmp_path: Path) -> None:
    good = save_table(tmp_path, "train.tsv", ["text", "label"], [("a", "x"), ("b", "y")])
    DataConfig(train=good, dev=good).require_files()
    DataConfig(dataset="sst2").require_files()
    (tmp_path / "semicolons.csv").write_text("text;label\na;x\n", encoding="utf-8")
    for name, message in (("none.tsv", "there is no file"), ("semicolons.csv", "has semicolons between its values")):
        with pytest.raises(DataError, match=message):
            DataConfig(train=good, dev=tmp_path / name).require_files()


def test_folders_without_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        DataConfig(data=tmp_path / "nowhere").load()
    with pytest.raises(DataError, match="holds no train, dev or test file"):
        DataConfig(data=tmp_path).load()


def test_two_files_of_one_split_are_refused(tmp_path: Path) -> None:
    save_table(tmp_path, "train.tsv", ["text", "label"], [("a", "x"), ("b", "y")])
    (tmp_path / "train.jsonl").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"holds both train\.tsv and train\.jsonl; which is it\?"):
        DataConfig(data=tmp_path).load()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no data given"),
        ({"task": "regression"}, "no data given"),
        ({"data": Path("d"), "dev": Path("f.tsv")}, "exclude each other"),
        ({"dataset": "sst2", "text_pair": "b"}, "`text_pair` needs `text` as well"),
        ({"dataset": "sst2", "max_length": 3}, "`max_length` is 3; expected 4 or more"),
        ({"task": "sst3"}, "unknown data set 'sst3'; those known by name are cola, sst2, mrpc"),
    ],
)
def test_a_configuration_checks_itself(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DataConfig(**values)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SST-2", "did you mean sst2?"),
        ("sts-b", "did you mean stsb?"),
        ("mnlli", "did you mean mnli?"),
        (
            "imdb",
            "for your own data give `train` and `dev` files (or a `data` folder) and the column names",
        ),
    ],
)
def test_an_unknown_task_gets_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"unknown data set '{name}'") as refusal:
        glue_task(name)
    assert refusal.value.hint == hint


def test_glue_is_complete() -> None:
    assert list(GLUE) == ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]
    assert GLUE["rte"].labels == ("entailment", "not_entailment")
    assert GLUE["wnli"].labels == ("not_entailment", "entailment")


# Digests


def test_a_digest_is_of_texts_and_labels() -> None:
    examples = Examples(["a", "b"], None, np.array([0, 1]))
    others = [
        Examples(["b", "a"], None, np.array([0, 1])),
        Examples(["a", "b"], None, np.array([1, 0])),
        Examples(["a", "b"], None, None),
        Examples(["a", "b"], ["", ""], np.array([0, 1])),
        examples.head(1),
    ]
    assert examples.digest == Examples(("a", "b"), None, np.array([0, 1])).digest
    assert len({examples.digest, *(other.digest for other in others)}) == 6


def test_a_digest_does_not_depend_on_the_format(tmp_path: Path) -> None:
    save_table(tmp_path, "a.tsv", ["text", "label"], [("one", "x"), ("two", "y")])
    (tmp_path / "a.csv").write_text('label,text\n"x","one"\ny,two\n', encoding="utf-8")
    digests = {DataConfig(train=tmp_path / name).load().digests["train"] for name in ("a.tsv", "a.csv")}
    assert len(digests) == 1


@given(rows=st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.sampled_from("xyz")), min_size=1, max_size=6))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_reaches_the_examples_as_it_was(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    rows = [*rows, ("", "x"), ("\0", "y"), ("🚢\u2028", "z")]
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(json.dumps({"text": text, "label": label}) for text, label in rows), encoding="utf-8")
    data = DataConfig(train=path).load()
    assert data.split("train").first == [text for text, _ in rows]
    assert [data.task.labels[index] for index in labels_of(data, "train")] == [label for _, label in rows]


def test_a_data_set_named_as_task_is_understood_with_a_notice(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        config = DataConfig(task="sst2")
    assert (config.dataset, config.task) == ("sst2", None)
    assert caplog.messages == ["`task=sst2` names a data set: say `dataset=sst2`"]


@pytest.mark.parametrize(("name", "kind"), [("text-classification", "classification"), ("fill-mask", "masked-lm")])
def test_a_task_goes_by_transformers_name_too(name: str, kind: str) -> None:
    config = DataConfig(dataset="own", data=Path("d"), task=name)
    assert config.kind == KINDS[kind]


def test_validation_is_another_word_for_dev(tmp_path: Path) -> None:
    for name in ("train", "validation"):
        save_table(tmp_path, f"{name}.tsv", ["text", "label"], [("one", "a"), ("two", "b")])
    data = DataConfig(data=tmp_path).load()
    assert sorted(data.splits) == ["dev", "train"]
    assert data.split("validation") is data.split("dev")


def test_a_path_may_be_a_string(tmp_path: Path) -> None:
    file = tmp_path / "train.tsv"
    save_table(tmp_path, file.name, ["text", "label"], [("one", "a"), ("two", "b")])
    for config in (DataConfig(data=str(tmp_path)), DataConfig(train=str(file))):
        assert config.load().split("train").first == ["one", "two"]
