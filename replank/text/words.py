"""Texts with one label per word (CoNLL style), and the positions of their words among the tokens."""

from __future__ import annotations

from collections.abc import Sequence


def join_words(words: Sequence[str]) -> str:
    """One text with exactly one space between words; :func:`words_of` is its inverse.

    A space within a word becomes a no-break space, which every tokenizer also treats as a space.
    """
    return " ".join(word.replace(" ", "\u00a0") for word in words)


def words_of(text: str) -> list[str]:
    """The words of a text of :func:`join_words`."""
    return text.split(" ")


def first_tokens(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The position of each word's first token.

    Matched by character offsets, so that the text is tokenized like any other: a tokenizer that marks the space
    before a word sees one.

    :param offsets: begin and end of each token in the text; ``(0, 0)`` for special tokens.
    :returns: one position a word; -1 for a word that was truncated or has no token.
    """
    starts, position, ends = [], 0, []
    for word in words_of(text):
        ends.append(position + len(word))
        position += len(word) + 1
    token = 0
    for word, end in zip(words_of(text), ends, strict=True):
        # A token belongs to the word in which it ends: it may begin with the space before the word.
        while token < len(offsets) and (offsets[token][1] <= end - len(word) or offsets[token][0] == offsets[token][1]):
            token += 1
        starts.append(token if token < len(offsets) and offsets[token][1] <= end else -1)
    return tuple(starts)
