"""What a comparison says, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replank.resampling.compare import MetricComparison, compare_answers
from replank.resampling.estimate import Difference
from replank.system.errors import DataError, ReplankError, UsageError
from row_answers import THREE_CLASSES, TWO_CLASSES, WORDS, answers, right_or_wrong

HALF = [True, False] * 20


def comparison(value: float, low: float, high: float) -> MetricComparison:
    difference = Difference(value=value, low=low, high=high, p_value=0.5)
    return MetricComparison(a=0.5, b=0.5, difference=difference, undefined=0)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        ((0.012, 0.002, 0.021), "A is better by 1.2 points (0.2 to 2.1)"),
        ((-0.012, -0.021, -0.002), "B is better by 1.2 points (0.2 to 2.1)"),
        ((-0.003, -0.011, 0.005), "no difference is shown; A less B is -0.3 points (-1.1 to 0.5)"),
        ((0.01, 0.0003, 0.02), "A is better by 1.00 points (0.03 to 2.00)"),
        ((0.01, 0.0, 0.02), "no difference is shown; A less B is 1.00 points (0.00 to 2.00)"),
        ((0.0, 0.0, 0.0), "no difference is shown; A less B is 0.0 points (0.0 to 0.0)"),
        ((-0.00001, -0.01, 0.01), "no difference is shown; A less B is 0.0 points (-1.0 to 1.0)"),
    ],
)
def test_a_verdict_is_a_sentence(difference: tuple[float, float, float], verdict: str) -> None:
    assert comparison(*difference).verdict == verdict


def test_a_model_is_as_good_as_itself() -> None:
    run = right_or_wrong(HALF)
    found = compare_answers([run], [run])
    metric = found.metrics["accuracy"]
    assert (metric.a, metric.b, metric.difference.low, metric.difference.high) == (0.5, 0.5, 0.0, 0.0)
    assert metric.difference.p_value == 1.0
    assert found.cautions == ["one seed of each: the intervals hold the chance of the rows, not that of the training"]


def test_what_is_kept_is_a_part_of_the_predecessors() -> None:
    """One predecessor stands for all seeds, or each seed has its own."""
    whole, most, half = (right_or_wrong([*[True] * number, *[False] * (40 - number)]) for number in (40, 36, 20))
    one = compare_answers([most, most], [half, half], [whole]).metrics["accuracy"]
    each = compare_answers([most, most], [half, half], [whole, whole]).metrics["accuracy"]
    assert one == each
    assert one.kept_a is not None
    assert one.kept_b is not None
    assert (one.kept_a.value, one.kept_b.value) == (0.9, 0.5)
    assert one.kept_a.low < one.kept_a.lower_bound < 0.9 < one.kept_a.high <= 1
    assert compare_answers([most], [half]).metrics["accuracy"].kept_a is None


def test_of_a_predecessor_that_may_know_nothing_no_part_is_told() -> None:
    run, wrong = right_or_wrong(HALF), right_or_wrong([False] * 40)
    found = compare_answers([run, run], [run, run], [wrong])
    assert found.metrics["accuracy"].kept_a is None
    assert found.cautions == [
        "of accuracy nothing is said to be kept: the predecessor's is not above 0 in all resamples"
    ]


def test_rows_of_one_class_are_told() -> None:
    task = replace(TWO_CLASSES, metrics=("accuracy", "matthews"))
    run = answers(task, [0, 1, 0, 0], [0, 0, 0, 0])
    found = compare_answers([run, run], [run, run])
    assert found.cautions == [
        "matthews is undefined in 2000 of 2000 resamples, as where all labels or answers are the same; it counts as 0 "
        "there"
    ]
    assert found.metrics["matthews"].difference.value == 0


def test_metrics_are_those_that_all_have_in_the_order_of_the_first() -> None:
    first = answers(replace(TWO_CLASSES, metrics=("macro_f1", "accuracy", "f1")), [0, 1], [0, 1])
    other = answers(replace(TWO_CLASSES, metrics=("accuracy", "macro_f1")), [0, 1], [0, 1])
    assert list(compare_answers([first], [other]).metrics) == ["macro_f1", "accuracy"]


GOOD = right_or_wrong(HALF)
REFUSED = {
    "seeds": ([GOOD, GOOD], [GOOD], UsageError, "A has 2 seeds, and B has 1 seed"),
    "none": ([], [], UsageError, "A has no answers"),
    "rows": ([GOOD], [right_or_wrong(HALF[1:])], DataError, "A answered 40 rows of dev; B answered 39 rows of dev"),
    "data": (
        [GOOD, GOOD],
        [GOOD, right_or_wrong(HALF, model="kd-2", data="e" * 64)],
        DataError,
        "A, seed 1 (m) and B, seed 2 (kd-2) answered different data: the digest of dev is dddddddddddd, that of dev is "
        "eeeeeeeeeeee",
    ),
    "task": (
        [GOOD],
        [answers(THREE_CLASSES, [0] * 40, [0] * 40)],
        DataError,
        "A answers with 2 labels (bad, good); B answers with 3 labels (red, green, blue)",
    ),
    "order": (
        [GOOD],
        [replace(GOOD, task=replace(TWO_CLASSES, labels=("good", "bad")))],
        DataError,
        "A answers with 2 labels (bad, good); B answers with 2 labels (good, bad)",
    ),
    "metrics": (
        [GOOD],
        [replace(GOOD, task=replace(TWO_CLASSES, metrics=("f1",)))],
        DataError,
        "A and the others have no metric in common",
    ),
    "one row": (
        [right_or_wrong([True])],
        [right_or_wrong([False])],
        DataError,
        "A answered 1 row: chance shows between rows",
    ),
    "truth": (
        [GOOD],
        [answers(TWO_CLASSES, [0] * 40, [0] * 40)],
        DataError,
        "A and B have different labels for row 2",
    ),
    "tokens": (
        [answers(WORDS, [[0], [0, 0]], [[0], [0, 1]])],
        [answers(WORDS, [[0], [0]], [[0], [0]])],
        DataError,
        "A and B were asked for different tokens in row 2",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_answers_that_are_no_pairs_are_refused(name: str) -> None:
    ours, theirs, kind, message = REFUSED[name]
    with pytest.raises(ReplankError) as refused:
        compare_answers(ours, theirs)
    assert type(refused.value) is kind
    assert refused.value.message == message
    assert refused.value.hint


def test_predecessors_are_one_or_as_many_as_seeds() -> None:
    with pytest.raises(UsageError, match="A has 3 seeds, and the predecessor has 2 seeds"):
        compare_answers([GOOD] * 3, [GOOD] * 3, [GOOD] * 2)
