"""From files to labelled examples: which labels, which columns, which splits; and what is refused."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run_replank
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replank.data import DataConfig, Dataset, Examples
from replank.errors import DataError, HubError, UsageError
from replank.hub import require_hub
from replank.tasks import GLUE, Task, glue_task

UNREACHABLE = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0", "http_proxy": "", "https_proxy": ""}
MODEL = Task("mood", "classification", ("good", "bad"), ("review",), "mood", ("accuracy", "macro_f1"), 40)


def save(folder: Path, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    """A TSV file."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in [columns, *rows]]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def labels_of(data: Dataset, split: str) -> list[Any]:
    labels = data.split(split).labels
    assert labels is not None
    return list(labels.tolist())


# What is read


def test_single_files_become_a_task_of_the_users_own(tmp_path: Path) -> None:
    train = save(tmp_path, "train.tsv", ["text", "label"], [("one", "b"), ("two", "a"), ("three", "b")])
    dev = save(tmp_path, "dev.tsv", ["label", "text"], [("a", "four")])
    data = DataConfig(train=train, dev=dev).load()
    assert data.task == Task("custom", "classification", ("a", "b"), ("text",), "label", ("accuracy", "macro_f1"), 128)
    assert data.split("train").first == ["one", "two", "three"]
    assert data.split("train").second is None
    assert (labels_of(data, "train"), labels_of(data, "dev")) == ([1, 0, 1], [0])


def test_flags_name_columns_task_and_length(tmp_path: Path) -> None:
    train = save(tmp_path, "t.tsv", ["x", "y", "z"], [("a", "b", "yes"), ("c", "d", "no")])
    config = DataConfig(task="same", train=train, text="x", text_pair="y", label="z", max_length=9)
    data = config.load()
    assert data.task == Task("same", "classification", ("no", "yes"), ("x", "y"), "z", ("accuracy", "macro_f1"), 9)
    assert data.split("train").second == ["b", "d"]


def test_numbers_are_labels_in_order_of_value(tmp_path: Path) -> None:
    train = save(tmp_path, "train.tsv", ["text", "label"], [("t", label) for label in ("10", "9", "-1", "2.5")])
    assert DataConfig(train=train).load().task.labels == ("-1", "2.5", "9", "10")


def test_glue_files_may_write_indices_for_names(tmp_path: Path) -> None:
    save(tmp_path, "train.tsv", ["sentence1", "sentence2", "label"], [("a", "b", 1), ("c", "d", 0)])
    save(tmp_path, "dev.tsv", ["sentence1", "sentence2", "label"], [("e", "f", "equivalent")])
    data = DataConfig(task="mrpc", data=tmp_path).load()
    assert data.task.labels == ("not_equivalent", "equivalent")
    assert data.task.metrics == ("f1", "accuracy")
    assert data.task.columns == ("sentence1", "sentence2")
    assert (labels_of(data, "train"), labels_of(data, "dev")) == ([1, 0], [1])


def test_glue_files_may_name_columns_as_the_hub_does(tmp_path: Path) -> None:
    save(tmp_path, "train.tsv", ["question", "sentence", "label"], [("q", "s", "entailment"), ("r", "t", 1)])
    with pytest.raises(DataError, match="line 3: label '1' is not one of entailment, not_entailment"):
        DataConfig(task="qnli", data=tmp_path).load()
    save(tmp_path, "train.tsv", ["question", "sentence", "label"], [("q", "s", "entailment")])
    data = DataConfig(task="qnli", data=tmp_path).load()
    assert (data.task.columns, data.task.max_length) == (("question", "sentence"), 256)


def test_regression_reads_numbers(tmp_path: Path) -> None:
    save(tmp_path, "train.tsv", ["sentence1", "sentence2", "label"], [("a", "b", "3.75"), ("c", "d", " 1e0 ")])
    data = DataConfig(task="stsb", data=tmp_path).load()
    assert (data.task.kind, data.task.labels, data.task.outputs) == ("regression", (), 1)
    assert data.task.metrics == ("pearson", "spearman")
    assert labels_of(data, "train") == [3.75, 1.0]
    own = DataConfig(train=tmp_path / "train.tsv", text="sentence1", kind="regression").load()
    assert (own.task.kind, own.task.is_pair, own.task.metrics) == ("regression", False, ("pearson", "spearman"))


@pytest.mark.parametrize("empty", [None, "-1", ""])
def test_a_test_split_without_labels_is_read_but_judges_nothing(tmp_path: Path, empty: str | None) -> None:
    for name in ("train.tsv", "dev.tsv"):
        save(tmp_path, name, ["text", "label"], [("a", 0), ("b", 1)])
    rows = [("c",), ("d",)] if empty is None else [("c", empty), ("d", empty)]
    save(tmp_path, "test.tsv", ["text", "label"][: len(rows[0])], rows)
    data = DataConfig(data=tmp_path).load()
    assert data.split("test").first == ["c", "d"]
    assert data.split("test").labels is None
    assert data.held_out == "dev"


def test_a_labelled_test_split_is_held_out(tmp_path: Path) -> None:
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        save(tmp_path, name, ["text", "label"], [("a", 0), ("b", 1)])
    assert DataConfig(data=tmp_path).load().held_out == "test"


def test_splits_may_differ_in_format(tmp_path: Path) -> None:
    save(tmp_path, "train.tsv", ["text", "label"], [("a", 0), ("b", 1)])
    (tmp_path / "dev.jsonl").write_text('{"label": 1, "text": "c"}\n', encoding="utf-8")
    (tmp_path / "test.csv").write_text("text,label\nd,0\n", encoding="utf-8")
    data = DataConfig(data=tmp_path).load()
    assert [data.split(name).first for name in ("train", "dev", "test")] == [["a", "b"], ["c"], ["d"]]


# What a model says


def test_a_models_task_holds_where_the_flags_say_nothing(tmp_path: Path) -> None:
    dev = save(tmp_path, "dev.tsv", ["text", "review", "mood"], [("not this", "this", "bad"), ("x", "y", "good")])
    data = DataConfig(dev=dev).load(MODEL)
    assert data.task == MODEL
    assert data.split("dev").first == ["this", "y"]
    assert labels_of(data, "dev") == [1, 0]


def test_a_model_is_judged_by_its_own_metrics_where_no_task_is_named(tmp_path: Path) -> None:
    dev = save(tmp_path, "dev.tsv", ["review", "mood"], [("this", "bad")])
    model = replace(MODEL, metrics=("f1", "accuracy"))
    assert DataConfig(dev=dev).load(model).task.metrics == ("f1", "accuracy")
    assert DataConfig(dev=dev, task="cola").load(model).task.metrics == ("matthews", "accuracy")


def test_flags_win_over_the_model(tmp_path: Path) -> None:
    dev = save(tmp_path, "dev.tsv", ["text", "label"], [("a", "bad")])
    data = DataConfig(dev=dev, text="text", label="label", max_length=7).load(MODEL)
    assert data.task == replace(MODEL, columns=("text",), label_column="label", max_length=7)


def test_columns_that_the_model_knows_but_the_file_lacks_are_guessed(tmp_path: Path) -> None:
    dev = save(tmp_path, "dev.tsv", ["sentence", "mood"], [("a", "bad")])
    assert DataConfig(dev=dev).load(MODEL).task.columns == ("sentence",)


def test_a_label_that_the_model_lacks_is_refused_although_train_has_it(tmp_path: Path) -> None:
    save(tmp_path, "train.tsv", ["review", "mood"], [("a", "bad"), ("b", "awful")])
    with pytest.raises(DataError, match=r"train\.tsv, line 3: label 'awful' is not one of good, bad"):
        DataConfig(data=tmp_path).load(MODEL)


def test_a_glue_name_wins_over_a_model_of_another_task(tmp_path: Path) -> None:
    """So that whoever compares the two finds the difference, instead of numbers read as labels."""
    save(tmp_path, "dev.tsv", ["sentence1", "sentence2", "label"], [("a", "b", "2.5")])
    assert DataConfig(task="stsb", data=tmp_path).load(MODEL).task.kind == "regression"
    save(tmp_path, "dev.tsv", ["sentence1", "sentence2", "label"], [("a", "b", "2")])
    assert len(DataConfig(task="mnli", data=tmp_path, text="sentence1").load(MODEL).task.labels) == 3


# What is refused


def test_a_label_in_dev_that_train_lacks_names_its_line(tmp_path: Path) -> None:
    save(tmp_path, "train.tsv", ["text", "label"], [("a", "x"), ("b", "y")])
    save(tmp_path, "dev.tsv", ["text", "label"], [("c", "x"), ("d", "z")])
    with pytest.raises(DataError, match=r"dev\.tsv, line 3: label 'z' is not one of x, y") as refusal:
        DataConfig(data=tmp_path).load()
    assert refusal.value.hint == "every label must occur in the training split"


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
    save(tmp_path, "train.tsv", ["text", "label"], [("a", "x"), ("b", "y")])
    save(tmp_path, "dev.tsv", ["text", "label"], [("c", "")])
    with pytest.raises(DataError, match=r"dev\.tsv, line 2: label '' is not one of x, y") as refusal:
        DataConfig(data=tmp_path).load()
    assert refusal.value.hint == "the label is empty"


def test_one_label_only_is_nothing_to_learn(tmp_path: Path) -> None:
    train = save(tmp_path, "train.tsv", ["text", "label"], [("a", "x"), ("b", "x")])
    with pytest.raises(DataError, match="has only one label, 'x'; there is nothing to learn"):
        DataConfig(train=train).load()


@pytest.mark.parametrize(
    ("label", "hint"),
    [("{:.2f}", "numbers are learnt with --kind regression"), ("name {}", "is --label the right column?")],
)
def test_too_many_labels_get_a_hint(tmp_path: Path, label: str, hint: str) -> None:
    train = save(tmp_path, "train.tsv", ["text", "label"], [("a", label.format(row)) for row in range(201)])
    with pytest.raises(DataError, match="has 201 different labels; expected 200 at most") as refusal:
        DataConfig(train=train).load()
    assert refusal.value.hint == hint


@pytest.mark.parametrize("label", ["high", "", "nan", "inf", "1e300", "1,5"])
def test_a_number_that_is_none_names_its_line(tmp_path: Path, label: str) -> None:
    train = save(tmp_path, "train.tsv", ["text", "label"], [("a", "1"), ("b", label)])
    with pytest.raises(DataError, match=f"line 3: expected a finite number as label, found '{label}'"):
        DataConfig(train=train, kind="regression").load()


def test_a_missing_column_says_which_exist(tmp_path: Path) -> None:
    train = save(tmp_path, "train.tsv", ["text", "mood"], [("a", "x"), ("b", "y")])
    with pytest.raises(DataError, match="has no column 'label'; its columns are 'text', 'mood'"):
        DataConfig(train=train).load()
    with pytest.raises(DataError, match="has no column 'body'; its columns are 'text', 'mood'"):
        DataConfig(train=train, text="body", label="mood").load()


def test_texts_that_cannot_be_guessed_are_asked_for(tmp_path: Path) -> None:
    train = save(tmp_path, "train.tsv", ["body", "label"], [("a", "x"), ("b", "y")])
    with pytest.raises(
        DataError, match=r"cannot tell the text column of .*; its columns are 'body', 'label'"
    ) as refusal:
        DataConfig(train=train).load()
    assert refusal.value.hint == "name it with --text COLUMN (and --text-pair COLUMN for pairs)"


@pytest.mark.parametrize(("text", "pair"), [("text", "text"), ("text", "label"), ("label", None)])
def test_a_column_is_not_used_twice(tmp_path: Path, text: str, pair: str | None) -> None:
    train = save(tmp_path, "train.tsv", ["text", "label"], [("a", "x"), ("b", "y")])
    with pytest.raises(UsageError, match="one column is used twice: "):
        DataConfig(train=train, text=text, text_pair=pair).load()


def test_labels_take_a_training_split_or_a_model(tmp_path: Path) -> None:
    dev = save(tmp_path, "dev.tsv", ["text", "label"], [("a", "x"), ("b", "y")])
    with pytest.raises(DataError, match="the labels are not known"):
        DataConfig(dev=dev).load()


def test_a_split_that_is_not_there_is_asked_for(data: DataConfig) -> None:
    dataset = data.load()
    only_dev = Dataset(dataset.task, {"dev": dataset.split("dev")})
    with pytest.raises(DataError, match="the data has no 'test' split; it has dev") as refusal:
        only_dev.split("test")
    assert refusal.value.hint == "add --test FILE, or test.tsv to the folder"


def test_folders_without_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        DataConfig(data=tmp_path / "nowhere").load()
    with pytest.raises(DataError, match="holds no train, dev or test file"):
        DataConfig(data=tmp_path).load()


def test_two_files_of_one_split_are_refused(tmp_path: Path) -> None:
    save(tmp_path, "train.tsv", ["text", "label"], [("a", "x"), ("b", "y")])
    (tmp_path / "train.jsonl").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"holds both train\.tsv and train\.jsonl; which is it\?"):
        DataConfig(data=tmp_path).load()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no data given"),
        ({"kind": "regression"}, "no data given"),
        ({"data": Path("d"), "dev": Path("f.tsv")}, "exclude each other"),
        ({"task": "sst2", "text_pair": "b"}, "--text-pair needs --text as well"),
        ({"task": "sst2", "max_length": 3}, "--max-length is 3; expected 4 or more"),
        ({"task": "sst3"}, "unknown task 'sst3'; the tasks known by name are cola, sst2, mrpc"),
    ],
)
def test_a_configuration_checks_itself(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DataConfig(**values)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SST-2", "did you mean --task sst2?"),
        ("sts-b", "did you mean --task stsb?"),
        ("mnlli", "did you mean --task mnli?"),
        (
            "imdb",
            "for your own data give --train FILE --dev FILE (or --data FOLDER) and the column names",
        ),
    ],
)
def test_an_unknown_task_gets_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"unknown task '{name}'") as refusal:
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
    save(tmp_path, "a.tsv", ["text", "label"], [("one", "x"), ("two", "y")])
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


# The hub


def test_an_unreachable_hub_is_said_at_once_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in UNREACHABLE.items():
        monkeypatch.setenv(name, value)
    start = time.monotonic()
    with pytest.raises(
        HubError, match=r"cannot reach 127\.0\.0\.1 to fetch the data set nyu-mll/glue \(sst2\)"
    ) as refusal:
        DataConfig(task="sst2").load()
    assert time.monotonic() - start < 10
    assert refusal.value.hint is not None
    assert refusal.value.hint.startswith("offline: give a local model folder and --data FOLDER")


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({"HF_ENDPOINT": "https://hub.test", "https_proxy": "http://127.0.0.1:9"}, r"127\.0\.0\.1"),
        ({"HF_ENDPOINT": "https://hub.test", "https_proxy": "127.0.0.1:9"}, r"127\.0\.0\.1"),
        ({"https_proxy": "http://192.0.2.1", "no_proxy": "127.0.0.1", "HF_ENDPOINT": "https://127.0.0.1:9"}, "127"),
        ({"HF_ENDPOINT": "nonsense"}, "nonsense"),
    ],
)
def test_the_proxy_is_asked_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], host: str
) -> None:
    for name, value in (UNREACHABLE | variables).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(HubError, match=f"cannot reach {host}"):
        require_hub("a model")


def test_offline_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (UNREACHABLE | {"HF_HUB_OFFLINE": "1"}).items():
        monkeypatch.setenv(name, value)
    require_hub("a model")


@pytest.mark.parametrize(
    "command", [("inspect", "owner/name"), ("finetune", "bert-base-uncased", "OUT", "--task", "sst2")]
)
def test_an_unreachable_hub_is_said_at_once_of_models(tmp_path: Path, command: tuple[str, ...]) -> None:
    environment = os.environ | UNREACHABLE | {"HF_HOME": str(tmp_path / "cache")}
    start = time.monotonic()
    done = run_replank(*command, env=environment, cwd=tmp_path)
    assert time.monotonic() - start < 10
    assert (done.code, done.out) == (1, "")
    error, hint = done.err.splitlines()
    wanted = f"the model {command[1]}, which is no local folder"
    assert error == f"error: cannot reach 127.0.0.1 to fetch {wanted}: Connection refused"
    assert hint.startswith("hint: offline: give a local model folder and --data FOLDER")
    assert not (tmp_path / "OUT").exists()


def test_a_cached_model_needs_no_hub_and_a_half_cached_one_does(encoder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "cache" / "hub" / "models--owner--name" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    references = snapshot.parent.parent / "refs"
    references.mkdir()
    (references / "main").write_text("a" * 40, encoding="utf-8")
    environment = os.environ | UNREACHABLE | {"HF_HOME": str(tmp_path / "cache")}
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (snapshot / name).symlink_to(encoder / name)
    half = run_replank("inspect", "owner/name", env=environment)
    assert half.code == 1
    assert "cannot reach 127.0.0.1 to fetch the model owner/name" in half.err
    (snapshot / "model.safetensors").symlink_to(encoder / "model.safetensors")
    whole = run_replank("inspect", "owner/name", "--json", env=environment)
    assert (whole.code, whole.err) == (0, "")
    assert json.loads(whole.out)["layers"] == 4


def mnli_model(*labels: str) -> Task:
    return Task("nli", "classification", labels, ("premise", "hypothesis"), "label", ("accuracy",))


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
    save(tmp_path, "dev.tsv", ["premise", "hypothesis", "label"], [("a", "b", label) for label in written])
    data = DataConfig(task="mnli", data=tmp_path).load(mnli_model(*labels))
    assert labels_of(data, "dev") == expected


def test_labels_of_another_set_than_the_models_are_refused(tmp_path: Path) -> None:
    save(tmp_path, "dev.tsv", ["premise", "hypothesis", "label"], [("a", "b", 0)])
    with pytest.raises(DataError, match="labels are yes, no, maybe; those of mnli are entailment, neutral, contradict"):
        DataConfig(task="mnli", data=tmp_path).load(mnli_model("yes", "no", "maybe"))
    with pytest.raises(DataError, match="label '0' is not one of yes, no, maybe"):
        DataConfig(data=tmp_path, text="premise", text_pair="hypothesis").load(mnli_model("yes", "no", "maybe"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"tokens": ["a", 1.5], "tags": ["O", "B-X"]}', "line 1: expected a list of words or labels, found"),
        ('{"tokens": ["a", null], "tags": ["O", "B-X"]}', "line 1: expected a list of words"),
        ('{"tokens": [], "tags": []}', "line 1: expected a list of words"),
        ('{"sentence1": "a", "sentence2": "b", "tags": ["O", "B-X"]}', "cannot tell the text column"),
    ],
)
def test_words_that_are_none(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "train.jsonl").write_text(row)
    with pytest.raises(DataError, match=message):
        DataConfig(train=tmp_path / "train.jsonl", kind="token-classification").load(
            Task("t", "token-classification", ("B-X", "O"), (), "tags", ("accuracy",))
        )


def test_brackets_are_words_in_a_table(tmp_path: Path) -> None:
    save(tmp_path, "train.tsv", ["tokens", "tags"], [("[1] see", "X Y"), ("a [1, 2]", "X Y Y")])
    data = DataConfig(train=tmp_path / "train.tsv", kind="token-classification").load()
    assert list(data.split("train").first) == ["[1] see", "a [1, 2]"]


def test_words_come_in_single_texts(tmp_path: Path) -> None:
    save(tmp_path, "train.tsv", ["a", "b", "tags"], [("a", "b", "X"), ("a", "b", "Y")])
    config = DataConfig(train=tmp_path / "train.tsv", kind="token-classification", text="a", text_pair="b")
    with pytest.raises(UsageError, match="takes single texts, not pairs"):
        config.load()
