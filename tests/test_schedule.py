"""The replacing rate is the paper's, at every step."""

from __future__ import annotations

import pytest

from compress.schedule import LinearSchedule
from replank.errors import UsageError


def test_linear_is_min_of_one_and_kt_plus_b() -> None:
    schedule = LinearSchedule(base_rate=0.3, ramp=0.5)
    k = (1 - 0.3) / (0.5 * 200)
    assert [schedule.rate(step, 200) for step in (0, 1, 50, 99)] == pytest.approx(
        [0.3, 0.3 + k, 0.3 + 50 * k, 0.3 + 99 * k]
    )
    assert schedule.rate(99, 200) < 1
    assert [schedule.rate(step, 200) for step in (100, 101, 199)] == [1, 1, 1]


@pytest.mark.parametrize(("base_rate", "ramp"), [(0.0, 0.5), (1.0, 0.5), (-0.1, 0.5), (0.3, 0.0), (0.3, 1.1)])
def test_a_schedule_that_cannot_work_is_refused(base_rate: float, ramp: float) -> None:
    with pytest.raises(UsageError, match="expected more than 0"):
        LinearSchedule(base_rate, ramp)
