"""Schedules against the paper's formulas."""

from __future__ import annotations

import math

import pytest

from replank.system.errors import UsageError
from replank_compress.methods.schedule import SCHEDULES, AntiCurriculumSchedule, ConstantSchedule, LinearSchedule
from replank_compress.methods.theseus import TheseusConfig


@pytest.mark.parametrize("ramp", [0.5, 500])
def test_linear_is_the_papers_formula(ramp: float) -> None:
    """p(t) = min(1, k t + b): batch 0 has b, and the first 1 comes at ceil((1 - b) / k)."""
    schedule, k = LinearSchedule(0.3, ramp), 0.7 / 500
    rates = [schedule.rate(step, 1000) for step in range(1000)]
    assert rates[0] == 0.3
    assert rates == pytest.approx([min(1, k * step + 0.3) for step in range(1000)])
    assert rates.index(1.0) == math.ceil(round(0.7 / k, 6)) == 500


def test_the_papers_example_reaches_one_where_it_says() -> None:
    """b 0.3, k 0.0006: p = 1 at step 1,167 of 1,725."""
    schedule = LinearSchedule(0.3, math.ceil(0.7 / 0.0006))
    rates = [schedule.rate(step, 1725) for step in range(1725)]
    assert rates.index(1.0) == 1167
    assert rates[100] == pytest.approx(0.3 + 0.0006 * 100, abs=1e-4)


def test_constant_holds_and_then_jumps() -> None:
    schedule = ConstantSchedule(0.7, 0.25)
    assert {schedule.rate(step, 100) for step in range(25)} == {0.7}
    assert {schedule.rate(step, 100) for step in range(25, 100)} == {1.0}


def test_anti_curriculum_is_one_minus_linear_until_the_second_phase() -> None:
    linear, anti = LinearSchedule(0.3, 0.5), AntiCurriculumSchedule(0.3, 0.5)
    for step in range(50):
        assert anti.rate(step, 100) == pytest.approx(1 - linear.rate(step, 100))
    assert {anti.rate(step, 100) for step in range(50, 100)} == {1.0}


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize(
    ("base_rate", "ramp", "message"),
    [
        (0.0, 0.5, "`base_rate` is 0.0; expected more than 0"),
        (1.0, 0.5, "`base_rate` is 1.0"),
        (math.nan, 0.5, "`base_rate` is nan"),
        (0.3, 0.0, "`ramp` is 0.0; expected a fraction of all steps"),
        (0.3, -5, "`ramp` is -5"),
        (0.3, 10.5, r"or a whole number of them \(1000\)"),
        (0.3, math.inf, "`ramp` is inf"),
    ],
)
def test_rates_and_ramps_that_make_no_sense(name: str, base_rate: float, ramp: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SCHEDULES[name](base_rate, ramp)


@pytest.mark.parametrize("ramp", [1.0, 1725, 2500])
def test_a_rate_that_never_reaches_one_must_be_asked_for(ramp: float) -> None:
    """The example of the paper's code: 2,500 steps of replacing in a training of 1,725."""
    config = TheseusConfig(schedule=ConstantSchedule(0.5, ramp))
    with pytest.raises(UsageError, match="the replacing rate never reaches 1") as refusal:
        config.require_sense(1725)
    assert "`second_phase='none'`" in str(refusal.value.hint)
    TheseusConfig(schedule=ConstantSchedule(0.5, ramp), second_phase="none").require_sense(1725)


def test_a_second_phase_must_not_be_denied() -> None:
    with pytest.raises(UsageError, match="`second_phase='none'`, but the replacing rate reaches 1 after 500"):
        TheseusConfig(schedule=LinearSchedule(0.3, 0.5), second_phase="none").require_sense(1000)
