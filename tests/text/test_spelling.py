"""Spellings that a person takes for one."""

from __future__ import annotations

import pytest

from replank.text.spelling import without_invisible, without_style


@pytest.mark.parametrize("text", ["very good", " very good", "very\u00a0 good\n", "very\u200b good", "\ufeffvery good"])
def test_what_nobody_sees_is_left_out(text: str) -> None:
    assert without_invisible(text) == "very good"


def test_a_letter_has_one_form() -> None:
    assert without_invisible("cafe\u0301") == "caf\u00e9"
    assert without_invisible("Caf\u00e9 \u00b2") == "Caf\u00e9 \u00b2"


@pytest.mark.parametrize("text", ["a1", "A1", "Ａ１", " a¹ "])
def test_style_and_case_are_left_out(text: str) -> None:
    assert without_style(text) == "a1"
