"""Amounts with units."""

from __future__ import annotations

import pytest

from replank.system.errors import FieldError
from replank.system.units import milliseconds, per_second, size_in_bytes


def test_amounts_are_read_in_any_case_and_with_spaces() -> None:
    assert [milliseconds(text, "limit") for text in ("5ms", "0.5 s", "800us", "2e3MS")] == [5, 500, 0.8, 2000]
    assert [size_in_bytes(text, "size") for text in ("50MB", "1kB", "2MiB", "7b")] == [50_000_000, 1000, 2 * 2**20, 7]
    assert [per_second(text, "rate") for text in ("200/s", "120/min")] == [200, 2]


@pytest.mark.parametrize("text", ["", "ms", "5", "5 MB", "0ms", "-5ms", "nanms", "1e999s", "٥ms"])
def test_other_amounts_are_refused(text: str) -> None:
    message = f"`limit` is {text or 'empty'}; expected a number above 0 with one of the units us, ms, s"
    with pytest.raises(FieldError) as refusal:
        milliseconds(text, "limit")
    assert (refusal.value.message, refusal.value.hint) == (message, "such as `limit=5ms`")
