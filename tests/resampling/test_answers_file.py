"""Files of answers: what is written is read again as it was, and what is none is refused by its name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replank.resampling.answers_file import is_answers_file, read_answers, write_answers
from replank.system.errors import DataError, ModelError, UsageError
from replank.tasks.groups import Groups
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from row_answers import NUMBERS, PASSAGES, TOPICS, TWO_CLASSES, WORDS, answers

TOKENS = Task("text", KINDS["masked-lm"], (), ("text",), "", ("accuracy",))
TRIPLES = Task("kin", KINDS["relation-prediction"], (), ("question", "context"), "", ("mrr", "hits@1"))
CANDIDATES = Groups(np.array([0, 1, 3]), np.array([0, 0, 1, 1]), np.array([True, False, True, False]), np.arange(4))
MADE = {
    "classes": answers(TWO_CLASSES, [0, 1, 1], [0, 1, 0]),
    "numbers": answers(NUMBERS, [0.1, -1e-30, 3e38], [1, 2.5, 3]),
    "words": replace(answers(WORDS, [[0, 1, 2], [], [3]], [[0, 1, 1], [], [3]]), unseen_words=2),
    "topics": answers(TOPICS, [[1, 0, 1], [0, 0, 0]], [[1, 1, 1], [0, 0, 1]]),
    "triples": replace(answers(TRIPLES, [2.5, -1, 0.5], [1, 0, 0]), groups=CANDIDATES),
    "ranked": answers(PASSAGES, [[0.5, 2], [1.5]], [[0, 1], [1]]),
    "tokens": answers(TOKENS, [[7], [30521, 0]], [[7], [101, 0]]),
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_written_is_read_as_it_was(tmp_path: Path, name: str) -> None:
    made = MADE[name]
    write_answers(tmp_path / "a.json", made)
    read = read_answers(tmp_path / "a.json")
    for ours, theirs in ((read.predicted, made.predicted), (read.truth, made.truth)):
        assert type(ours) is type(theirs)
        for row, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(row, other, strict=True)
    assert replace(read, predicted=[], truth=[]) == replace(made, predicted=[], truth=[])


def test_a_file_is_small_and_says_what_it_is(tmp_path: Path) -> None:
    write_answers(tmp_path / "a.json", MADE["numbers"])
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.count("\n") == 1
    values = json.loads(text)
    assert values["predicted"] == [0.1, -1e-30, 3e38]
    assert (values["schema"], values["rows"], values["split"], values["data"]) == (1, 3, "dev", "d" * 64)
    assert values["task"]["metrics"] == ["pearson", "spearman"]


CLASSES, NUMBERS_, WORDS_, TOPICS_ = "classes", "numbers", "words", "topics"
BROKEN: list[tuple[str, dict[str, Any], str]] = [
    (CLASSES, {"schema": 2}, "schema is 2; expected 1"),
    (CLASSES, {"schema": None}, "schema is None; expected 1"),
    (CLASSES, {"model": 3}, "model is 3; expected a string"),
    (CLASSES, {"data": None}, "data is None; expected a string"),
    (CLASSES, {"rows": "3"}, "rows is '3'; expected an integer"),
    (CLASSES, {"rows": 0, "truth": [], "predicted": []}, "rows is 0; expected 1 or more"),
    (CLASSES, {"rows": 2}, "truth has 3 values; expected 2, the number of rows"),
    (CLASSES, {"predicted": [0, 1]}, "predicted has 2 values; expected 3, the number of rows"),
    (CLASSES, {"predicted": "010"}, "predicted is '010'; expected a list"),
    (CLASSES, {"predicted": [0, 1, 2]}, "predicted[2] is 2; expected a whole number, 0 to 1"),
    (CLASSES, {"predicted": [0, -1, 1]}, "predicted[1] is -1; expected a whole number, 0 to 1"),
    (CLASSES, {"truth": [0, 1, 1.0]}, "truth[2] is 1.0; expected a whole number, 0 to 1"),
    (CLASSES, {"truth": [True, 1, 1]}, "truth[0] is True; expected a whole number, 0 to 1"),
    (CLASSES, {"task": None}, "task is None; expected an object"),
    (CLASSES, {"task.kind": "translation"}, "task.kind is translation; expected one of "),
    (CLASSES, {"task.kind": ["classification"]}, "task.kind is ['classification']; expected "),
    (CLASSES, {"task.labels": []}, "task.labels has 0 names; expected 2 or more"),
    (CLASSES, {"task.labels": [1, 2]}, "task.labels[0] is 1; expected a string"),
    (CLASSES, {"task.metrics": []}, "task.metrics is empty; expected one or more"),
    (CLASSES, {"task.metrics": ["accuracy", "pearson"]}, "task.metrics[1] is 'pearson'; expected one of accuracy, "),
    (NUMBERS_, {"predicted": [1, 2, float("nan")]}, "predicted[2] is nan; expected a finite number"),
    (NUMBERS_, {"predicted": [1, 2, float("inf")]}, "predicted[2] is inf; expected a finite number"),
    (NUMBERS_, {"truth": [1, 2, 10**400]}, "truth[2] is 1000000000000000000000000000000000000000; expected a finite"),
    (NUMBERS_, {"truth": [1, "2", 3]}, "truth[1] is '2'; expected a finite number"),
    (WORDS_, {"predicted": [[0, 1, 4], [], [3]]}, "predicted[0][2] is 4; expected a whole number, 0 to 3"),
    (WORDS_, {"predicted": [[0, 1, 2], 0, [3]]}, "predicted[1] is 0; expected a list"),
    (WORDS_, {"predicted": [[0, 1, 2], [], []]}, "predicted[2] has 0 values; expected 1, as truth[2]"),
    (TOPICS_, {"truth": [[0, 3], []]}, "truth[0][1] is 3; expected a whole number, 0 to 2"),
    (TOPICS_, {"truth": [0, 1]}, "truth[0] is 0; expected a list"),
    (TOPICS_, {"task.thresholds": [0.5, 2, 0.5]}, "task.thresholds[1] is 2; expected a probability, 0 to 1"),
    (TOPICS_, {"task.thresholds": [0.5]}, "task.thresholds has 1 numbers, of any of 3 labels"),
    (CLASSES, {"task.thresholds": [0.5, 0.5]}, "task.thresholds has 2 numbers, of 2 labels (bad, good); expected one"),
    (WORDS_, {"unseen_words": "none"}, "unseen_words is 'none'; expected an integer"),
]


@pytest.mark.parametrize(("name", "changes", "problem"), BROKEN)
def test_a_value_that_cannot_be_is_named(tmp_path: Path, name: str, changes: dict[str, Any], problem: str) -> None:
    file = tmp_path / "a.json"
    write_answers(file, MADE[name])
    values = json.loads(file.read_text(encoding="utf-8"))
    for key, value in changes.items():
        outer, _, inner = key.partition(".")
        if inner:
            values[outer][inner] = value
        else:
            values[outer] = value
    file.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DataError) as refused:
        read_answers(file)
    assert refused.value.message.startswith(f"{file} holds no answers: {problem}")
    assert refused.value.hint == "`answers` of replank evaluate writes such a file"


@pytest.mark.parametrize("name", ["schema", "model", "task", "split", "data", "rows", "truth", "predicted"])
def test_a_value_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    file = tmp_path / "a.json"
    write_answers(file, MADE["classes"])
    values = json.loads(file.read_text(encoding="utf-8"))
    del values[name]
    file.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DataError, match=f"{file} holds no answers: {name} is "):
        read_answers(file)


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"\xff\xfe", b'{"schema": 1'])
def test_a_file_that_is_no_object_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.json"):
        read_answers(file)


def test_a_file_that_lies_there_is_replaced_only_when_told(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("somebody's", encoding="utf-8")
    with pytest.raises(UsageError, match=r"a\.json exists"):
        write_answers(file, MADE["classes"])
    assert file.read_text(encoding="utf-8") == "somebody's"
    write_answers(file, MADE["classes"], force=True)
    assert len(read_answers(file)) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (".", "exists and is no file"),
        ("/dev/null", "exists and is no file"),
        ("no/a.json", "there is no folder .*/no"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_refused(tmp_path: Path, place: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_answers(tmp_path / place, MADE["classes"], force=True)


def test_files_are_told_from_models(tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("{}", encoding="utf-8")
    (tmp_path / "model.json").mkdir()
    assert is_answers_file(tmp_path / "answers")
    assert is_answers_file("seeds/missing.json")
    assert not is_answers_file(tmp_path / "model.json")
    assert not is_answers_file("owner/name")


def test_every_kind_with_metrics_can_be_written() -> None:
    written = {made.task.kind for made in MADE.values()}
    others = {kind for kind in KINDS.values() if kind.default_metrics(("a", "b")) and kind not in written}
    # Numbers too, the one within narrower bounds.
    assert others == {KINDS["probability"], KINDS["sentence-embedding"]}
