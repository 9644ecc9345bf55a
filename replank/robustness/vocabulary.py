"""A tokenizer's pieces as parts of words: which of them are whole words, and which continue one."""

from __future__ import annotations

from functools import cached_property

from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens
from replank.text.words import join_words

# Of any script that a masked LM may know, a word of one piece that it surely has no other pieces for.
_BEFORE = "a"


class Vocabulary:
    """The pieces of any tokenizer: what is tried is whether a piece, spelled out and read again, is itself.

    So it knows nothing of how a tokenizer marks the inside of words (``##`` of WordPiece), or their begin (``Ġ`` of
    byte-level BPE, ``▁`` of Unigram).
    """

    def __init__(self, text_encoder: TextEncoder) -> None:
        self._text_encoder = text_encoder
        self._special = frozenset(text_encoder.special_ids)

    def places(self, tokens: Tokens, word: int) -> range:
        """The positions of a word's pieces; none of a word that was truncated, or that the tokenizer does not know.

        :param tokens: of words that were given.
        """
        start = tokens.starts[word]
        if start < 0:
            return range(0)
        later = (at for at in tokens.starts[word + 1 :] if at > start)
        end = next(later, None)
        if end is None:
            end = next((at for at in range(start, len(tokens)) if tokens.ids[at] in self._special), len(tokens))
            if tokens.is_truncated:  # perhaps within this word
                return range(0)
        known = all(tokens.ids[at] not in self._special for at in range(start, end))
        return range(start, end) if known else range(0)

    def whole_word(self, piece: int, *, is_first: bool) -> str | None:
        """The word that a piece is by itself, at the begin of a text or within it; ``None`` if it is none."""
        return (self._first if is_first else self._inside)[piece]

    def continues(self, piece: int) -> bool:
        """Whether a piece stands within words only."""
        return self._inside[piece] is None and piece not in self._special

    def spelled(self, pieces: list[int], *, is_first: bool) -> str | None:
        """The word that pieces make, if it is read as these pieces again."""
        word = self._text_encoder.decode(pieces).strip()
        return word if word and self._read_again([word], is_first=is_first)[0] == pieces else None

    @cached_property
    def _first(self) -> list[str | None]:
        return self._words(is_first=True)

    @cached_property
    def _inside(self) -> list[str | None]:
        return self._words(is_first=False)

    def _words(self, *, is_first: bool) -> list[str | None]:
        spelled = [
            "" if piece in self._special else self._text_encoder.decode([piece]).strip()
            for piece in range(self._text_encoder.vocabulary_size)
        ]
        read = self._read_again(spelled, is_first=is_first)
        return [
            word if pieces == [piece] and any(map(str.isalnum, word)) and not any(map(str.isspace, word)) else None
            for piece, (word, pieces) in enumerate(zip(spelled, read, strict=True))
        ]

    def _read_again(self, words: list[str], *, is_first: bool) -> list[list[int]]:
        """The pieces of each word, at the begin of a text or within one."""
        texts = [join_words([word] if is_first else [_BEFORE, word]) for word in words]
        return [
            [tokens.ids[at] for at in self.places(tokens, 0 if is_first else 1)]
            for tokens in self._text_encoder.tokenize(texts, words="given")
        ]
