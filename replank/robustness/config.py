"""The settings of an attack, and the rules that the paper and the code that was released with it differ in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from replank.system.errors import FieldError
from replank.system.settings import setting

Side = Literal["text", "text-pair"]


@dataclass(frozen=True)
class AttackConfig:
    """The settings of BERT-Attack (Li et al., 2020, https://arxiv.org/abs/2004.09984); the defaults are the paper's.

    :param rows: texts to attack, drawn by the seed; all of the split if it has fewer.
    :param candidates: predictions of the masked LM for each piece of a word, the paper's K.
    :param max_changes: fraction of a text's words that may be replaced; one word always may.
    :param attack: the text of a pair that is changed.
    :param min_word_similarity: the least cosine of a word and its replacement, which keeps antonyms out; ``None`` takes
        all.
    :param word_vectors: file of the vectors that it is computed from, a word and its numbers a line, such as
        counter-fitted ones; words that are not in it pass. ``None``: the similarity model's.
    :param stop_words: words that are neither replaced nor inserted; ``None``: English function words.
    :param as_released: the choices of the released code where it differs from the paper, see :data:`RELEASED`.
    :raises FieldError: a value out of range.
    """

    rows: int = setting(200, "Texts to attack, drawn by the seed.")
    seed: int = setting(0, "Seed of the draw.")
    candidates: int = setting(48, "Predictions of the masked LM that are tried for each word (K).")
    max_changes: float = setting(0.4, "Fraction of a text's words that may be replaced.")
    attack: Side = setting("text", "The text of a pair that is changed.")
    min_word_similarity: float | None = setting(
        None, "Least cosine of a word and its replacement, against antonyms; 0.4 with counter-fitted vectors."
    )
    word_vectors: Path | None = setting(
        None, "File of word vectors (a word and its numbers a line) for that. [default: the similarity model's]"
    )
    stop_words: tuple[str, ...] | None = setting(
        None,
        "Words that are neither replaced nor inserted: a,b,c or @FILE with one a line. [default: English ones]",
        has_commas=True,
    )
    as_released: bool = setting(
        False, "Do what the authors' code does where it differs from their paper, to compare published numbers."
    )

    def __post_init__(self) -> None:
        for name in ("rows", "candidates"):
            if getattr(self, name) < 1:
                raise FieldError(name, getattr(self, name), "1 or more")
        if self.seed < 0:
            raise FieldError("seed", self.seed, "0 or more")
        if not 0 < self.max_changes <= 1:
            raise FieldError("max_changes", self.max_changes, "a fraction, more than 0 and at most 1")
        if self.attack not in ("text", "text-pair"):
            raise FieldError("attack", self.attack, "text or text-pair")
        if self.min_word_similarity is not None and not -1 <= self.min_word_similarity <= 1:
            raise FieldError("min_word_similarity", self.min_word_similarity, "a cosine, -1 to 1")
        if self.word_vectors is not None and self.min_word_similarity is None:
            raise FieldError("word_vectors", self.word_vectors, "`min_word_similarity` beside it")
        if self.stop_words is not None:
            object.__setattr__(self, "stop_words", tuple(self.stop_words))

    @property
    def rules(self) -> Rules:
        """The rules that are followed."""
        return RELEASED if self.as_released else PAPER


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The choices in which the released code differs from the paper.

    :param splits_at_spaces: words are what single spaces divide, in lower case; else they are found as corpora cut
        them, and all between them stays as it is.
    :param mask: the token in place of a word whose importance is measured; ``None``: the victim's mask.
    :param adds_other_label: importance grows by what another label gains, where masking changes the answer.
    :param spares_last_word: the last word is never looked at.
    :param budget_slack: changes allowed beyond the fraction.
    :param ranks_in_context: combinations of pieces are the likeliest and are ranked within the text; else the first
        ones in the order of the pieces' predictions, ranked alone.
    :param tried_at_once: replacements of one word that are asked about together; answers do not depend on it, the
        number of queries does: up to this many less one more than one by one.
    :param keeps_last_trial: where no replacement helps, the last one tried stays in the text.
    """

    splits_at_spaces: bool
    mask: str | None
    adds_other_label: bool
    spares_last_word: bool
    budget_slack: int
    ranks_in_context: bool
    tried_at_once: int
    keeps_last_trial: bool

    def budget(self, words: int, fraction: float) -> int:
        """The most words of a text that may be replaced."""
        # Of 100 words 0.29 are 29, though the product is a little less.
        return max(1, math.floor(fraction * words + 1e-9) + self.budget_slack)


PAPER = Rules(
    splits_at_spaces=False,
    mask=None,
    adds_other_label=False,
    spares_last_word=False,
    budget_slack=0,
    ranks_in_context=True,
    tried_at_once=8,
    keeps_last_trial=False,
)
# Two things of it are not to be had here: its importances were measured on padding that the model attended to, and its
# list of stop words.
RELEASED = Rules(
    splits_at_spaces=True,
    mask="[UNK]",
    adds_other_label=True,
    spares_last_word=True,
    budget_slack=1,
    ranks_in_context=False,
    tried_at_once=1,
    keeps_last_trial=True,
)
