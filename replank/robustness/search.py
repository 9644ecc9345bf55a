"""The attack on one text, as a dialogue: it asks about texts, and is told the victim's probabilities."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replank.robustness.config import Rules
from replank.robustness.words import Words

Probabilities = NDArray[np.float32]
# It asks about several texts at once, and is sent probabilities of shape ``(texts, labels)``.
Search = Generator[list[str], Probabilities, "Found"]


@dataclass(frozen=True)
class Target:
    """A text to attack.

    :param places: the words that may be replaced.
    :param label: the true one, which the victim answers.
    :param before: the victim's probabilities for the text.
    :param candidates: replacements of a word of the text, in the order in which they are tried.
    :param mask: the text in place of a word whose importance is measured.
    :param budget: the most words that may be replaced.
    """

    words: Words
    places: Sequence[int]
    label: int
    before: Probabilities
    candidates: Callable[[int], Sequence[str]]
    mask: str
    budget: int


@dataclass(frozen=True)
class Found:
    """What an attack ended with.

    :param words: the text with all replacements, whether they were enough or not.
    :param answer: the victim's label for it, and ``probability`` that of the true label.
    """

    words: Words
    answer: int
    probability: float
    queries: int


def search(target: Target, rules: Rules) -> Search:
    """Replace the most important words one by one, until the victim changes its answer or the budget is spent.

    Of a word's replacements the first that changes the answer ends the attack; else the one that lowers the true
    label's probability most is kept, if one does.
    """
    text, label, queries, changed = target.words, target.label, 0, 0
    lowest = float(target.before[label])
    # Without candidates a word's importance is of no use.
    importances = yield from _importances(target, rules)
    queries += len(target.places)
    for at in np.argsort(-importances, kind="stable"):
        if changed >= target.budget:
            break
        place = target.places[int(at)]
        candidates = target.candidates(place)
        best, last = None, None
        for start in range(0, len(candidates), rules.tried_at_once):
            tried = candidates[start : start + rules.tried_at_once]
            answers = yield [text.text_with(place, candidate) for candidate in tried]
            queries += len(tried)
            flips = np.flatnonzero(answers.argmax(axis=1) != label)
            if flips.size:
                flip = int(flips[0])
                answer, probability = int(answers[flip].argmax()), float(answers[flip, label])
                return Found(text.with_word(place, tried[flip]), answer, probability, queries)
            least = int(answers[:, label].argmin())
            if answers[least, label] < lowest:
                best, lowest = tried[least], float(answers[least, label])
            last = tried[-1]
        if best is not None:
            text, changed = text.with_word(place, best), changed + 1
        elif last is not None and rules.keeps_last_trial:
            text = text.with_word(place, last)
    return Found(text, label, lowest, queries)


def _importances(target: Target, rules: Rules) -> Generator[list[str], Probabilities, NDArray[np.float32]]:
    """The importance of each word that may be replaced: what the true label's probability loses where it is masked.

    :returns: shape ``(places,)``.
    """
    if not target.places:
        return np.empty(0, dtype=np.float32)
    label, before = target.label, target.before
    masked = yield [target.words.text_with(place, target.mask) for place in target.places]
    importances = before[label] - masked[:, label]
    if rules.adds_other_label:
        answers = masked.argmax(axis=1)
        gains = masked.max(axis=1) - before[answers]
        importances = importances + np.where(answers == label, 0, gains)
    return np.asarray(importances)
