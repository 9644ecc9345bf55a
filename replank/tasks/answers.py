"""Answers of models: predictions, labelled words, and answers as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Score:
    """A label with its probability, 0 to 1; of regression the number itself, under the label ``value``."""

    label: str
    score: float


@dataclass(frozen=True)
class HeldScore(Score):
    """A score of a label that does not exclude others.

    :param holds: whether the probability reaches the label's threshold.
    """

    holds: bool


@dataclass(frozen=True)
class Tensor:
    """An output of an inference protocol that speaks in tensors.

    :param width: values of each text; ``None``: one.
    """

    name: str
    datatype: Literal["BYTES", "FP32", "BOOL"]
    width: int | None = None

    @property
    def shape(self) -> list[int]:
        """The shape, -1 for any number of texts."""
        return [-1] if self.width is None else [-1, self.width]


@dataclass(frozen=True)
class Prediction:
    """The answer to one text or pair.

    :param label: the likeliest label; of regression ``value``.
    :param score: its probability, 0 to 1; of regression the number itself.
    :param scores: of every label, the likeliest first.
    :param labels: those that hold: where labels exclude each other the likeliest, else any number of them, the
        likeliest first; none of regression.
    """

    label: str
    score: float
    scores: dict[str, float]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ranked:
    """A passage by its place among those that were given, and how well it fits the query.

    :param score: the model's number: of rerankers a probability, 0 to 1.
    """

    index: int
    score: float


@dataclass(frozen=True)
class Filling:
    """A token in the place of a mask.

    :param token: its id.
    :param text: the token as text.
    :param score: its probability there, 0 to 1.
    :param sequence: the text with it in place; of several masks the others stay.
    """

    token: int
    text: str
    score: float
    sequence: str


@dataclass(frozen=True)
class Word:
    """A word of a text; punctuation and symbols are words of their own, unless they stand inside one, as in ``e-mail``.

    Of Chinese it is a character; where another script has no spaces between words, as Thai, a token.

    :param start: its first character in the text.
    :param end: the character after its last.
    :param label: its likeliest label, at its first token; ``None`` beyond the length that the model reads, and for
        characters that the tokenizer drops.
    :param score: the label's probability.
    """

    text: str
    start: int
    end: int
    label: str | None
    score: float | None


@dataclass(frozen=True)
class Entity:
    """Words that their labels put together.

    :param label: its type, such as ``PER`` of ``B-PER``; ``_`` where labels have none.
    :param score: that of its least certain word.
    """

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class TaggedText:
    """One text with its words labelled.

    :param entities: by BIO, BIOES, BILOU or BMES(W) labels, or runs of a label where there is an O besides; none where
        labels make no entities, as parts of speech.
    """

    words: list[Word]
    entities: list[Entity]
