"""Words of a text, and what a replacement leaves as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replank.robustness.config import PAPER, RELEASED
from replank.robustness.stop_words import STOP_WORDS
from replank.robustness.words import Words, in_case_of


def test_what_lies_between_words_stays_as_it_is() -> None:
    words = Words.of('He  said: "Fine film,\nJohn\'s best!"')
    assert list(words) == ["He", "said", "Fine", "film", "John", "'s", "best"]
    assert words.text_with(3, "moving picture") == 'He  said: "Fine moving picture,\nJohn\'s best!"'
    longer = words.with_word(2, "Marvellous").with_word(6, "x")
    assert longer.text == 'He  said: "Marvellous film,\nJohn\'s x!"'
    assert list(longer) == ["He", "said", "Marvellous", "film", "John", "'s", "x"]
    # A trial changes nothing: it is another text.
    assert words.text == 'He  said: "Fine film,\nJohn\'s best!"'


@given(st.text(max_size=60), st.data())
def test_a_replacement_and_its_reverse_give_the_text_again(text: str, data: st.DataObject) -> None:
    words = Words.of(text)
    if not len(words):
        return
    place = data.draw(st.integers(0, len(words) - 1))
    there = words.with_word(place, "other")
    assert there[place] == "other"
    assert there.with_word(place, words[place]) == words


def test_the_released_code_cuts_at_spaces() -> None:
    words = Words.at_spaces("A  good film . It")
    assert words.text == "a  good film . it"
    assert list(words) == ["a", "good", "film", ".", "it"]


@pytest.mark.parametrize(
    ("word", "candidate", "written"),
    [("Bad", "good", "Good"), ("BAD", "good", "GOOD"), ("bad", "Good", "Good"), ("I", "we", "We"), ("bad", "ok", "ok")],
)
def test_a_candidate_is_written_as_the_word_is(word: str, candidate: str, written: str) -> None:
    assert in_case_of(word, candidate) == written


@pytest.mark.parametrize(("words", "paper", "released"), [(1, 1, 1), (2, 1, 1), (5, 2, 3), (10, 4, 5), (0, 1, 1)])
def test_the_budget_is_a_fraction_of_words_and_the_released_code_allows_one_more(
    words: int, paper: int, released: int
) -> None:
    """Of 5 words the released code changes 3: 60 %; of 2 none are allowed, and the one more is the only one."""
    assert PAPER.budget(words, 0.4) == paper
    assert RELEASED.budget(words, 0.4) == released


def test_negations_are_stop_words_and_what_is_felt_is_none() -> None:
    assert {"not", "no", "never", "n't", "isn't"} <= STOP_WORDS
    assert not STOP_WORDS & {"fire", "cry", "sincere", "serious", "interest", "good", "bad", "well"}
