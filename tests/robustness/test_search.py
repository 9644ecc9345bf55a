"""The attack on one text against a victim that is a function: counts, budgets, order, and what stays untouched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from replank.robustness.config import PAPER, RELEASED, Rules
from replank.robustness.lockstep import in_lockstep
from replank.robustness.search import Found, Probabilities, Target, search
from replank.robustness.words import Words

# What a word adds to the logit of label 1.
WEIGHTS = {
    "good": 2.0,
    "great": 3.0,
    "fine": 1.0,
    "bad": -2.0,
    "poor": -1.0,
    "okay": 0.5,
    "meh": 0.2,
    "superb": 3.5,
    "[UNK]": -0.1,
}


class Victim:
    """A linear classifier of words, which counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> Probabilities:
        self.asked += texts
        logits = np.array([sum(WEIGHTS.get(word, 0.0) for word in text.split()) - 0.5 for text in texts])
        ones = 1 / (1 + np.exp(-logits))
        return np.stack([1 - ones, ones], axis=1).astype(np.float32)


def run(
    text: str,
    candidates: Mapping[str, Sequence[str]],
    *,
    rules: Rules = PAPER,
    max_changes: float = 0.4,
    victim: Victim | None = None,
) -> tuple[Found, Victim]:
    victim = victim or Victim()
    words = Words.of(text)
    before = victim([text])[0]
    victim.asked.clear()
    places = [place for place in range(len(words)) if words[place] in candidates]
    target = Target(
        words,
        places,
        int(before.argmax()),
        before,
        lambda place: candidates[words[place]],
        rules.mask or "[MASK]",
        rules.budget(len(words), max_changes),
    )
    ((_, found),) = in_lockstep(iter([(0, search(target, rules))]), lambda _, texts: victim(texts))
    return found, victim


def test_importance_is_that_of_leaving_each_word_out() -> None:
    """The most important word comes first: ``great`` before ``good`` before ``fine``, whatever their order."""
    candidates = {word: ["okay"] for word in ("fine", "good", "great")}
    found, victim = run("fine good great film film film", candidates, max_changes=1.0)
    masked = victim.asked[:3]
    assert masked == ["[MASK] good great film film film", "fine [MASK] great film film film", *masked[2:]]
    trials = victim.asked[3:]
    assert trials == [
        "fine good okay film film film",
        "fine okay okay film film film",
        "okay okay okay film film film",
    ]
    assert found.answer == 1


def test_the_largest_drop_is_kept_and_the_first_flip_ends_it() -> None:
    found, victim = run("great good film film film film", {"great": ["good", "meh", "fine"], "good": ["bad", "poor"]})
    assert found.words.text == "meh bad film film film film"
    assert found.answer == 0
    assert found.queries == len(victim.asked) == 2 + 3 + 2


def test_trials_that_do_not_help_leave_the_text_as_it_is() -> None:
    """The regression of an aliased list: the last word tried stayed in the text, and was not counted."""
    candidates = {"fine": ["good", "great"], "good": ["great"]}
    found, victim = run("good fine film film film", candidates)
    assert found.words.text == "good fine film film film"
    assert (found.answer, found.queries) == (1, len(victim.asked))
    released, _ = run("good fine film film film", candidates, rules=replace(RELEASED, splits_at_spaces=False))
    assert released.words.text == "great great film film film"


@pytest.mark.parametrize(("fraction", "changed"), [(0.2, 1), (0.4, 2), (0.6, 3), (1.0, 4)])
def test_the_budget_is_kept_exactly(fraction: float, changed: int) -> None:
    """Four words could be replaced, each with a small drop and none with a flip."""
    words = {"great": ["good"], "superb": ["okay"], "good": ["fine"], "fine": ["okay"]}
    found, _ = run("great superb good fine film", words, max_changes=fraction)
    text = ["great", "superb", "good", "fine", "film"]
    assert sum(one != other for one, other in zip(text, found.words, strict=True)) == changed


@pytest.mark.parametrize(
    ("words", "fraction", "changes", "released"), [(1, 0.4, 1, 1), (2, 0.4, 1, 1), (5, 0.4, 2, 3), (100, 0.29, 29, 30)]
)
def test_the_budget_of_short_texts_and_of_round_fractions(
    words: int, fraction: float, changes: int, released: int
) -> None:
    """The released code gives up where more than ``int(fraction * words)`` words are changed: one more than that."""
    assert PAPER.budget(words, fraction) == changes
    assert RELEASED.budget(words, fraction) == released


def test_queries_are_the_victims_calls_however_many_are_tried_at_once() -> None:
    candidates = {"good": ["great", "fine", "superb", "meh", "poor", "bad"]}
    outcomes = {}
    for at_once in (1, 2, 8):
        found, victim = run("good film film", candidates, rules=replace(PAPER, tried_at_once=at_once))
        assert found.queries == len(victim.asked)
        outcomes[at_once] = (found.words.text, found.queries)
    assert {text for text, _ in outcomes.values()} == {"meh film film"}
    # One query of importance; the flip is the fourth candidate.
    assert [queries for _, queries in outcomes.values()] == [1 + 4, 1 + 4, 1 + 6]


def test_released_importance_counts_what_another_label_gains() -> None:
    """Words whose mask changes the answer come first there, by twice the difference."""
    found, victim = run("good film", {"good": ["bad"]}, rules=RELEASED)
    assert victim.asked[0] == "[UNK] film"
    assert found.answer == 0


def test_a_text_without_words_to_replace_asks_nothing() -> None:
    found, victim = run("good film", {})
    assert (found.queries, victim.asked, found.answer) == (0, [], 1)


def test_texts_side_by_side_find_what_each_finds_alone() -> None:
    """With more texts than are attacked at once, and some that end before they ask."""
    candidates = {"good": ["meh", "bad"], "great": ["fine", "poor"]}
    texts = [f"{'good ' * (row % 3)}{'great ' * (row % 2)}film film film".strip() for row in range(75)]
    alone = [run(text, candidates)[0] for text in texts]
    victim = Victim()

    def target(text: str) -> Target:
        words, before = Words.of(text), victim([text])[0]
        places = [place for place in range(len(words)) if words[place] in candidates]
        label, budget = int(before.argmax()), PAPER.budget(len(words), 0.4)
        return Target(words, places, label, before, lambda place: candidates[words[place]], "[MASK]", budget)

    searches = ((row, search(target(text), PAPER)) for row, text in enumerate(texts))
    together = dict(in_lockstep(searches, lambda _, asked: victim(asked)))
    assert [together[row].words.text for row in range(75)] == [found.words.text for found in alone]
    assert [together[row].queries for row in range(75)] == [found.queries for found in alone]
