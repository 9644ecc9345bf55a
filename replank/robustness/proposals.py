"""The replacements that are tried for each word of a text: what the masked LM proposes, without what is ruled out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from replank.robustness.config import AttackConfig
from replank.robustness.masked_lm import MaskedLm
from replank.robustness.stop_words import STOP_WORDS
from replank.robustness.words import Words, in_case_of

# Which of some words are like another one.
Guard = Callable[[str, Sequence[str]], Sequence[bool]]


class Proposals:
    """The proposals for one text, the same for every victim: they depend on the text as it was, not on replacements.

    :param words: of the text that is attacked.
    :param guard: keeps antonyms out; ``None`` keeps all.
    :param why_none: why no word may be replaced; ``None`` if one may.
    """

    def __init__(self, words: Words, masked_lm: MaskedLm, config: AttackConfig, guard: Guard | None) -> None:
        self.words = words
        self._masked_lm, self._guard = masked_lm, guard
        given = config.stop_words
        self._stop_words = STOP_WORDS if given is None else frozenset(word.casefold() for word in given)
        self._found: dict[int, list[str]] = {}
        looked_at = len(words) - config.rules.spares_last_word
        wanted = [place for place in range(looked_at) if not self._is_stop_word(words[place])]
        self.places: list[int] = []
        if wanted:  # one pass for all words
            self._predictions = masked_lm.read(list(words))
            self.places = [place for place in wanted if masked_lm.can_replace(self._predictions, place)]
        self.why_none: str | None = None if self.places else self._reason(len(words), wanted)

    def candidates(self, place: int) -> list[str]:
        """Words in place of one of :attr:`places`, the most fitting first."""
        if place not in self._found:
            self._found[place] = self._allowed(self.words[place], place)
        return self._found[place]

    def _allowed(self, word: str, place: int) -> list[str]:
        proposed = (in_case_of(word, found) for found in self._masked_lm.candidates(self._predictions, place))
        distinct = dict.fromkeys(
            candidate
            for candidate in proposed
            if candidate.casefold() != word.casefold() and not self._is_stop_word(candidate) and "##" not in candidate
        )
        candidates = list(distinct)
        if self._guard is None or not candidates:
            return candidates
        passes = self._guard(word, candidates)
        return [candidate for candidate, alike in zip(candidates, passes, strict=True) if alike]

    def _is_stop_word(self, word: str) -> bool:
        return word.casefold().replace("\u2019", "'") in self._stop_words

    def _reason(self, words: int, wanted: Sequence[int]) -> str:
        if not words:
            return "it has no words"
        return "the masked LM knows none of its words" if wanted else "it has stop words only"
