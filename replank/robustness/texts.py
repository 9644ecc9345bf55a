"""A text under attack, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# ``wrong``: the victim was before, and was not attacked; ``no-words``: none may be replaced.
Outcome = Literal["fooled", "held", "wrong", "no-words"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A replaced word.

    :param word: its number among the text's words, from 0.
    """

    word: int
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class AttackedText:
    """One text under attack.

    :param row: its number in the split, from 0.
    :param text: the one that is changed, and ``other`` the other one of a pair.
    :param label: the true one.
    :param answer: the victim's, to the text as it was; ``answer_after`` to the changed one.
    :param words: of the text.
    :param changes: of the text as it was into ``adversarial``, which is kept too where it fooled nobody.
    :param queries: texts that the victim was asked about, the text as it was not among them.
    :param probability: the victim's of the true label; ``probability_after`` of the changed text.
    :param similarity: cosine of the two texts; ``None`` without a similarity model, or where nothing was changed.
    :param why: why no word may be replaced.
    """

    row: int
    text: str
    other: str | None = None
    label: str
    outcome: Outcome
    answer: str
    answer_after: str | None = None
    words: int
    adversarial: str | None = None
    changes: tuple[Change, ...] = ()
    queries: int
    probability: float
    probability_after: float | None = None
    similarity: float | None = None
    why: str | None = None
