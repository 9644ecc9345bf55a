"""Methods over several tasks, and the correction for several comparisons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from replank.resampling.compare import compare_answers
from replank.resampling.holm import holm
from replank.resampling.macro import ScoredTask, macro_differences, macro_kept
from replank.resampling.task_runs import TaskRuns
from replank.runtime.evaluate import RowAnswers
from replank.system.errors import DataError, UsageError
from row_answers import TWO_CLASSES, answers, right_or_wrong


def share(part: float, rows: int = 100) -> RowAnswers:
    """Right on the first rows."""
    return right_or_wrong(np.arange(rows) < part * rows)


def task(**methods: float) -> ScoredTask:
    """Each method is right on a part of the rows."""
    predecessor = methods.pop("predecessor", None)
    runs = TaskRuns(
        {name: [share(part)] for name, part in methods.items()}, () if predecessor is None else [share(predecessor)]
    )
    return ScoredTask(runs)


def test_a_macro_difference_is_the_mean_of_the_tasks() -> None:
    tasks = [task(ours=0.9, kd=0.8, cut=0.6), task(ours=0.8, kd=0.82, cut=0.5)]
    found = macro_differences(tasks, "ours", ["kd", "cut"])
    assert list(found) == ["kd", "cut"]
    assert found["kd"].macro.value == pytest.approx(0.04)
    assert [part.value for part in found["kd"].tasks] == pytest.approx([0.1, -0.02])
    assert found["cut"].macro.value == pytest.approx(0.3)
    assert found["cut"].macro.low > 0.2
    assert found["cut"].corrected_p_value == pytest.approx(2 * found["cut"].macro.p_value)
    assert found["kd"].corrected_p_value == found["kd"].macro.p_value


def test_one_task_is_as_when_compared_alone() -> None:
    ours, theirs = share(0.9), share(0.7)
    alone = compare_answers([ours], [theirs]).metrics["accuracy"].difference
    runs = TaskRuns({"ours": [ours], "theirs": [theirs]})
    assert macro_differences([ScoredTask(runs)], "ours", ["theirs"])["theirs"].macro == alone


def test_tasks_have_draws_of_their_own() -> None:
    """With the same draws for two equal tasks, the mean would be as unsure as one of them."""
    one, four = (macro_differences([task(ours=0.8, kd=0.6)] * tasks, "ours", ["kd"])["kd"].macro for tasks in (1, 4))
    assert (four.high - four.low) / (one.high - one.low) == pytest.approx(0.5, abs=0.06)


def test_a_score_may_be_the_mean_of_several_metrics() -> None:
    both = replace(TWO_CLASSES, metrics=("f1", "accuracy"))
    truth = [0, 0, 1, 1] * 10
    runs = TaskRuns({"ours": [answers(both, truth, truth)], "yes": [answers(both, [1] * 40, truth)]})
    found = macro_differences([ScoredTask(runs, ("f1", "accuracy"))], "ours", ["yes"])
    assert found["yes"].macro.value == pytest.approx(1 - (2 / 3 + 1 / 2) / 2)


def test_what_is_kept_is_the_mean_of_the_parts() -> None:
    tasks = [task(ours=0.72, predecessor=0.9), task(ours=0.8, predecessor=0.8)]
    found = macro_kept(tasks, "ours")
    assert found.macro.value == pytest.approx((0.8 + 1.0) / 2)
    assert [part.value for part in found.tasks] == pytest.approx([0.8, 1.0])
    assert found.macro.low < found.macro.lower_bound < 0.9 < found.macro.high
    # On the second task nothing differs in any draw.
    assert (found.tasks[1].low, found.tasks[1].high) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("tasks", "kind", "message"),
    [
        ([], UsageError, "no tasks to compare on"),
        ([task(kd=0.5, predecessor=0.6)], UsageError, "films has no answers of ours"),
        ([task(ours=0.5)], UsageError, "films has no answers of the predecessor"),
        ([task(ours=0.5, predecessor=0.01)], DataError, "the predecessor's score on films is not above 0"),
    ],
)
def test_tasks_without_the_answers_are_refused(tasks: list[ScoredTask], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        macro_kept(tasks, "ours")


def test_holm_by_hand() -> None:
    """Times 4, 3, 2 and 1 from the smallest, never less than the one before, at most 1."""
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({"a": 0.7, "b": 0.6}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
