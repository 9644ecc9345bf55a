"""Intervals: how often they hold what is true, and what pairing is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from replank.resampling.compare import compare_answers
from replank.resampling.estimate import Difference, Estimate
from replank.resampling.resample import Resampling, resample
from replank.resampling.task_runs import TaskRuns
from replank.runtime.evaluate import RowAnswers
from replank.system.errors import FieldError
from row_answers import NUMBERS, TWO_CLASSES, answers, right_or_wrong

SHIFT = 0.05


def experiment(
    generator: np.random.Generator, rows: int, seeds: int, luck: float = 0.0
) -> tuple[list[RowAnswers], list[RowAnswers]]:
    """Two methods of the same seeds on the same rows; the first is right more often by :data:`SHIFT`.

    Rows differ in how hard they are, to both methods alike.

    :param luck: the spread of a seed's share of right rows, half of its variance common to both methods.
    """
    hard = generator.uniform(0.65, 0.85, rows)
    pairs = []
    for _ in range(seeds):
        chance, common = generator.uniform(size=rows), generator.normal(0, luck / 2**0.5)
        pairs.append(
            [
                right_or_wrong(
                    chance + generator.uniform(-0.1, 0.1, rows)
                    < hard + shift + common + generator.normal(0, luck / 2**0.5)
                )
                for shift in (SHIFT, 0.0)
            ]
        )
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


@pytest.mark.parametrize(("rows", "seeds", "luck"), [(200, 1, 0.0), (150, 4, 0.03)])
def test_ninety_five_of_a_hundred_intervals_hold_the_true_difference(rows: int, seeds: int, luck: float) -> None:
    """One seed stands for itself; of several, the luck of each is a part of the chance."""
    generator = np.random.default_rng(7)
    held = 0
    for _ in range(300):
        ours, theirs = experiment(generator, rows, seeds, luck)
        found = compare_answers(ours, theirs, resampling=Resampling(200)).metrics["accuracy"].difference
        held += found.low <= SHIFT <= found.high
    assert 0.90 <= held / 300 <= 0.99


def test_pairs_of_seeds_and_rows_give_narrower_intervals_than_others() -> None:
    """Seeds that come out well do so for both methods; shuffled, that is noise."""
    generator = np.random.default_rng(1)
    seeds = [right_or_wrong(generator.uniform(size=300) < skill) for skill in (0.5, 0.6, 0.7, 0.8, 0.9)]
    better = [right_or_wrong(_is_right(run) | (generator.uniform(size=300) < 0.1)) for run in seeds]
    paired, shuffled = (
        compare_answers(better, other).metrics["accuracy"].difference for other in (seeds, [*seeds[1:], seeds[0]])
    )
    assert paired.value == pytest.approx(shuffled.value)
    assert 3 * (paired.high - paired.low) < shuffled.high - shuffled.low
    assert paired.excludes_zero
    assert not shuffled.excludes_zero


def _is_right(run: RowAnswers) -> NDArray[np.bool_]:
    return np.asarray(np.asarray(run.predicted) == np.asarray(run.truth))


def test_the_spread_of_seeds_counts() -> None:
    """The same rows right on average, by seeds that are alike or far apart: only the latter are unsure."""
    alike = [right_or_wrong([*[True] * 75, *[False] * 25])] * 4
    apart = [right_or_wrong([*[True] * number, *[False] * (100 - number)]) for number in (55, 68, 82, 95)]
    zero = [right_or_wrong([False] * 100)] * 4
    narrow, wide = (compare_answers(runs, zero).metrics["accuracy"].difference for runs in (alike, apart))
    assert narrow.value == pytest.approx(wide.value) == 0.75
    assert wide.high - wide.low > 1.4 * (narrow.high - narrow.low)


def test_draws_are_those_of_their_seed() -> None:
    generator = np.random.default_rng(3)
    ours, theirs = experiment(generator, 80, 3)
    first, again, other = (
        compare_answers(ours, theirs, resampling=Resampling(200, seed)).metrics["accuracy"].difference
        for seed in (0, 0, 1)
    )
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)
    assert first.value == other.value


def test_draws_in_blocks_are_the_draws_of_a_larger_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a table too large for memory, all resamples are computed: as many as asked, of all rows."""
    runs = TaskRuns({"one": [right_or_wrong([True, False] * 25)]})
    monkeypatch.setattr("replank.resampling.resample._MOST_CELLS", 50 * 7)
    found = resample(runs, ("accuracy",), Resampling(100))["accuracy"].methods["one"]
    assert found.resampled.shape == (100,)
    assert found.resampled.mean() == pytest.approx(0.5, abs=0.03)


def test_a_value_is_the_mean_of_the_seeds_scores() -> None:
    task = replace(NUMBERS, metrics=("pearson",))
    truth = [1.0, 2.0, 3.0, 4.0]
    runs = [answers(task, truth, truth), answers(task, truth[::-1], truth)]
    found = resample(TaskRuns({"one": runs}), ("pearson",), Resampling(100))["pearson"]
    assert found.methods["one"].value == pytest.approx(0.0)


def test_undefined_resamples_count_as_zero_and_are_counted() -> None:
    """Three rows, one of the other class: whether it is drawn or not is known."""
    task = replace(TWO_CLASSES, metrics=("matthews",))
    run = answers(task, [0, 0, 1], [0, 0, 1])
    found = resample(TaskRuns({"one": [run]}), ("matthews",), Resampling(2000))["matthews"]
    values = found.methods["one"].resampled
    assert set(values) == {0.0, 1.0}
    assert found.undefined == (values == 0).sum()
    # All three draws from the first two rows, or all from the third.
    assert found.undefined / 2000 == pytest.approx((2 / 3) ** 3 + (1 / 3) ** 3, abs=0.04)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0] * 99, 2 / 100), ([-1.0] * 99, 2 / 100), ([0.0] * 99, 1.0), ([-1.0] * 9 + [1.0] * 90, 2 * 10 / 100)],
)
def test_a_p_value_is_twice_the_smaller_share_and_never_zero(values: list[float], expected: float) -> None:
    assert Difference.of(Estimate(1.0, np.array(values))).p_value == pytest.approx(expected)


@pytest.mark.parametrize(("settings", "field"), [((99, 0), "resamples"), ((2000, -1), "seed")])
def test_a_setting_that_cannot_work_is_refused(settings: tuple[int, int], field: str) -> None:
    with pytest.raises(FieldError, match=f"`{field}` is {settings[field == 'seed']}; expected"):
        Resampling(*settings)
