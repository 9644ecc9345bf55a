"""How much may wait, and the estimate of when there will be room."""

from __future__ import annotations

import pytest

from replank.system.errors import OverloadedError
from replank_serve.engine.admission import Admission


def retry_after(admission: Admission, waiting: int) -> int:
    with pytest.raises(OverloadedError) as refused:
        admission.admit(1, waiting)
    return refused.value.retry_after


def test_the_limit_itself_is_allowed_and_one_more_is_not() -> None:
    admission = Admission(100)
    admission.admit(40, 60)
    with pytest.raises(OverloadedError, match=r"^60 tokens wait already, and at most 100 may$") as refused:
        admission.admit(41, 60)
    assert refused.value.http_status == 429


def test_nothing_is_too_large_for_an_empty_queue() -> None:
    Admission(100).admit(5000, 0)


@pytest.mark.parametrize(
    ("tokens", "seconds", "waiting", "expected"),
    [
        pytest.param(0, 0, 1000, 1, id="nothing known"),
        pytest.param(1000, 1.0, 1000, 1, id="a second"),
        pytest.param(1000, 1.0, 1001, 2, id="rounded up"),
        pytest.param(100, 1.0, 2500, 25, id="slow"),
        pytest.param(1000, 0.001, 2500, 1, id="never less than one"),
        pytest.param(1, 1.0, 2500, 60, id="never more than a minute"),
    ],
)
def test_retry_after_is_when_what_waits_will_be_done(tokens: int, seconds: float, waiting: int, expected: int) -> None:
    admission = Admission(100)
    if tokens:
        admission.record(tokens, seconds)
    assert retry_after(admission, waiting) == expected


def test_what_was_long_ago_counts_for_little() -> None:
    admission = Admission(100)
    for seconds in (10.0, *([1.0] * 60)):
        admission.record(100, seconds)
    assert retry_after(admission, 290) == 3
