"""Words of texts, and the positions of their first tokens: words of examples with a label each, and words of raw text.

A token classifier reads and learns a word's label at its first token.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from replank.text.word_breaks import extends, is_unspaced


def join_words(words: Sequence[str]) -> str:
    """One text with exactly one space between words; :func:`words_of` is its inverse.

    Raw text is read like this too, so that a model sees the tokens that it has learnt. A space within a word becomes a
    no-break space, which every tokenizer also treats as a space.
    """
    return " ".join(word.replace(" ", "\u00a0") for word in words)


def words_of(text: str) -> list[str]:
    """The words of a text of :func:`join_words`."""
    return text.split(" ")


def spans_of(text: str) -> tuple[tuple[int, int], ...]:
    """The begin and end of each word in a text of :func:`join_words`."""
    ends = list(accumulate((len(word) + 1 for word in words_of(text)), initial=-1))
    return tuple((before + 1, end) for before, end in pairwise(ends))


def first_tokens(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The position of the first token of each word of a text of :func:`join_words`.

    Matched by character offsets, so that the text is tokenized like any other: a tokenizer that marks the space
    before a word sees one.

    :param offsets: begin and end of each token in the text; ``(0, 0)`` for special tokens.
    :returns: one position a word; -1 for a word that was truncated or has no token.
    """
    starts, token = [], 0
    for begin, end in spans_of(text):
        # A token belongs to the word in which it ends: it may begin with the space before the word.
        while token < len(offsets) and (offsets[token][1] <= begin or offsets[token][0] == offsets[token][1]):
            token += 1
        starts.append(token if token < len(offsets) and offsets[token][1] <= end else -1)
    return tuple(starts)


def found_words(
    text: str, spans: Sequence[tuple[int, int]], offsets: Sequence[tuple[int, int]]
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """The words of a raw text with their first tokens; where a script has no spaces, each token is a word.

    :param text: the words of :func:`find_words`, joined by :func:`join_words`.
    :param spans: begin and end of each in the raw text.
    :param offsets: as of :func:`first_tokens`; with those of truncated tokens, which tell words apart too.
    :returns: for each word, the position of its first token; and its begin and end in the raw text.
    """
    starts: list[int] = []
    places: list[tuple[int, int]] = []
    # Without words the text is empty, which is one empty word to those that join and split it.
    for (start, end), (begin, stop), token in zip(spans, spans_of(text), first_tokens(text, offsets), strict=False):
        starts.append(token)
        places.append((start, end))
        if token < 0 or not is_unspaced(text[begin]):
            continue
        covered = offsets[token][1]
        for later in range(token + 1, len(offsets)):
            left, right = offsets[later]
            if left >= stop:
                break
            if covered <= left < right and not extends(text[left]):
                cut = start + left - begin
                places[-1:] = [(places[-1][0], cut), (cut, end)]
                starts.append(later)
            covered = max(covered, right)
    return tuple(starts), tuple(places)
