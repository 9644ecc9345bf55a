"""Logits to answers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from replank.system.errors import ModelError
from replank.tasks.answers import Score
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task

THREE = Task("t", KINDS["classification"], ("a", "b", "c"), ("text",), "label", ("accuracy",))
NUMBER = Task("t", KINDS["regression"], (), ("text",), "label", ("pearson",))


def floats(values: Any) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def test_probabilities_by_hand_with_the_likeliest_first() -> None:
    (row,) = THREE.kind.scores(THREE.labels, np.log(floats([[1, 6, 3]])))
    assert [score.label for score in row] == ["b", "c", "a"]
    assert [score.score for score in row] == pytest.approx([0.6, 0.3, 0.1])


def test_each_row_is_its_own() -> None:
    rows = THREE.kind.scores(THREE.labels, floats([[9, 0, 0], [0, 0, 9]]))
    assert [row[0].label for row in rows] == ["a", "c"]
    for row in rows:
        assert math.fsum(score.score for score in row) == pytest.approx(1)


def test_equal_labels_keep_their_order() -> None:
    assert [score.label for score in THREE.kind.scores(THREE.labels, np.zeros((1, 3), dtype=np.float32))[0]] == [
        "a",
        "b",
        "c",
    ]


def test_large_logits_do_not_overflow() -> None:
    (row,) = THREE.kind.scores(THREE.labels, floats([[1e30, -1e30, 1e30]]))
    assert {score.label: score.score for score in row} == {"a": 0.5, "c": 0.5, "b": 0.0}


def test_a_number_is_its_own_answer() -> None:
    assert NUMBER.kind.scores(NUMBER.labels, floats([[2.5], [-1]])) == [[Score("value", 2.5)], [Score("value", -1.0)]]


def test_no_rows_no_answers() -> None:
    assert THREE.kind.scores(THREE.labels, np.zeros((0, 3), dtype=np.float32)) == []


@pytest.mark.parametrize("task", [THREE, NUMBER])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_no_answer(task: Task, value: float) -> None:
    logits = np.zeros((2, task.outputs), dtype=np.float32)
    logits[1, 0] = value
    with pytest.raises(ModelError, match="logits are not finite numbers"):
        task.kind.scores(task.labels, logits)
