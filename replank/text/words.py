"""Texts whose every word has a label (CoNLL style), and where their words lie among the tokens."""

from __future__ import annotations

from collections.abc import Sequence


def join_words(words: Sequence[str]) -> str:
    """One text with exactly one space between words; :func:`words_of` is its inverse.

    A space within a word becomes a no-break space, which every tokenizer takes for a space too.
    """
    return " ".join(word.replace(" ", "\u00a0") for word in words)


def words_of(text: str) -> list[str]:
    """The words of a text of :func:`join_words`."""
    return text.split(" ")


def first_tokens(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Where the words of a text begin among its tokens.

    By characters, so that the text is tokenized as any other: a tokenizer that marks the space before a word sees one.

    :param offsets: begin and end of each token in the text; ``(0, 0)`` for special tokens.
    :returns: for each word the position of its first token, -1 for one that was truncated or has none.
    """
    starts, position, ends = [], 0, []
    for word in words_of(text):
        ends.append(position + len(word))
        position += len(word) + 1
    token = 0
    for word, end in zip(words_of(text), ends, strict=True):
        # A token belongs to the word in which it ends; what it ends on may be preceded by the space before the word.
        while token < len(offsets) and (offsets[token][1] <= end - len(word) or offsets[token][0] == offsets[token][1]):
            token += 1
        starts.append(token if token < len(offsets) and offsets[token][1] <= end else -1)
    return tuple(starts)
