"""The attack on one model, text by text: all that is asked of a victim is probabilities of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from replank.robustness.config import AttackConfig, Side
from replank.robustness.lockstep import in_lockstep
from replank.robustness.proposals import Proposals
from replank.robustness.search import Found, Probabilities, Search, Target, search
from replank.robustness.texts import AttackedText, Change
from replank.robustness.words import Words
from replank.runtime.model import Model
from replank.tasks.probabilities import softmax

# First texts, and the second ones of pairs, to probabilities of shape ``(texts, labels)``.
Ask = Callable[[Sequence[str], Sequence[str] | None], Probabilities]


@dataclass(frozen=True)
class Texts:
    """The texts under attack, in their order.

    :param rows: of each in its split.
    :param first: the texts, or the first ones of pairs; ``second`` the others.
    :param labels: the true ones, as the victim numbers them, shape ``(texts,)``.
    :param attack: the side that is changed.
    """

    rows: Sequence[int]
    first: Sequence[str]
    second: Sequence[str] | None
    labels: NDArray[np.int64]
    attack: Side

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def changed(self) -> Sequence[str]:
        """The texts that are changed."""
        return self.first if self.attack == "text" or self.second is None else self.second

    @property
    def other(self) -> Sequence[str] | None:
        """The other ones of pairs."""
        return None if self.second is None else self.second if self.attack == "text" else self.first

    def at(self, places: Sequence[int]) -> Texts:
        """Those in some places."""
        second = None if self.second is None else [self.second[place] for place in places]
        first, rows = [self.first[place] for place in places], [self.rows[place] for place in places]
        return Texts(rows, first, second, self.labels[list(places)], self.attack)

    def inputs(self, places: Sequence[int], texts: Sequence[str]) -> tuple[list[str], list[str] | None]:
        """What a model is asked about where other texts stand in some places."""
        if self.other is None:
            return list(texts), None
        others = [self.other[place] for place in places]
        return (list(texts), others) if self.attack == "text" else (others, list(texts))


def asker(model: Model) -> Ask:
    """The probabilities of a loaded classifier, by the engine that evaluates it: batches of texts of like length."""

    def ask(first: Sequence[str], second: Sequence[str] | None) -> Probabilities:
        return softmax(model.logits(first, second))

    return ask


def attack_texts(
    ask: Ask,
    texts: Texts,
    labels: Sequence[str],
    proposals: Callable[[int], Proposals],
    mask: str,
    config: AttackConfig,
) -> Iterator[AttackedText]:
    """Attack texts, and yield each when it is done, those that need no attack first.

    :param labels: names in the order of the victim's outputs.
    :param proposals: of a text by its place.
    :param mask: the victim's mask, in place of a word whose importance is measured.
    """
    rules = config.rules
    before = ask(texts.first, texts.second)
    answers = before.argmax(axis=1)
    targets: dict[int, Target] = {}
    done: dict[int, AttackedText] = {}

    def untouched(place: int) -> AttackedText:
        label = int(texts.labels[place])
        return AttackedText(
            row=texts.rows[place],
            text=texts.changed[place],
            other=None if texts.other is None else texts.other[place],
            label=labels[label],
            outcome="wrong",
            answer=labels[int(answers[place])],
            words=len(words_of(texts.changed[place], config)),
            queries=0,
            probability=round(float(before[place, label]), 6),
        )

    def searches() -> Iterator[tuple[int, Search]]:
        """Those of texts that can be attacked, made one by one, as the masked LM reads each."""
        for place in range(len(texts)):
            if answers[place] != texts.labels[place]:
                done[place] = untouched(place)
                continue
            proposed = proposals(place)
            if proposed.why_none is not None:
                done[place] = replace(untouched(place), outcome="no-words", why=proposed.why_none)
                continue
            targets[place] = Target(
                proposed.words,
                proposed.places,
                int(texts.labels[place]),
                before[place],
                proposed.candidates,
                rules.mask or mask,
                rules.budget(len(proposed.words), config.max_changes),
            )
            yield place, search(targets[place], rules)

    def ask_in(places: Sequence[int], changed: Sequence[str]) -> Probabilities:
        return ask(*texts.inputs(places, changed))

    for place, found in in_lockstep(searches(), ask_in):
        yield from (done.pop(other) for other in list(done))
        yield _attacked(untouched(place), targets.pop(place), found, labels)
    yield from done.values()


def words_of(text: str, config: AttackConfig) -> Words:
    """The words of a text, as the rules cut it."""
    return Words.at_spaces(text) if config.rules.splits_at_spaces else Words.of(text)


def _attacked(text: AttackedText, target: Target, found: Found, labels: Sequence[str]) -> AttackedText:
    """What became of a text: its changes are those that two texts show, whatever was counted on the way."""
    changes = tuple(
        Change(word=number, before=before, after=after)
        for number, (before, after) in enumerate(zip(target.words, found.words, strict=True))
        if before != after
    )
    return replace(
        text,
        outcome="held" if found.answer == target.label else "fooled",
        answer_after=labels[found.answer] if changes else None,
        adversarial=found.words.text if changes else None,
        changes=changes,
        queries=found.queries,
        probability_after=round(found.probability, 6) if changes else None,
    )
