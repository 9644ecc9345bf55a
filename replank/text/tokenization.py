"""Texts to token ids: the only place that decides how texts are truncated."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from tokenizers import Encoding, Tokenizer

from replank.system.errors import ModelError
from replank.text.padding import INPUT_NAMES, Batch, pad
from replank.text.tokenizer_reading import load_tokenizer
from replank.text.tokens import Tokens
from replank.text.unicode import without_lone_surrogates
from replank.text.word_breaks import find_words
from replank.text.words import first_tokens, found_words, join_words

# Words of an example, joined by :func:`join_words`; or words to be found in a raw text.
Words = Literal["given", "found"]

_log = logging.getLogger(__name__)


class TextEncoder:
    """A tokenizer with the settings of its model.

    :param tokenizer: owned by the encoder, which replaces its padding and truncation settings.
    :param pad_id: the token id of padding; RoBERTa counts positions from it.
    :param max_length: tokens to truncate to; of a pair, the longer text is truncated first.
    :param token_type_ids: whether the model takes them.
    :param mask_id: the token id of the mask, needed for masked language modelling only.
    :param truncation_side: the end that a text loses which is too long: ``left`` or ``right``.
    :param length_limit: the longest input in tokens that the tokenizer's files name, if they do.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        pad_id: int,
        max_length: int,
        token_type_ids: bool,
        mask_id: int | None = None,
        truncation_side: str = "right",
        length_limit: int | None = None,
    ) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length, strategy="longest_first", direction=truncation_side)
        self._tokenizer = tokenizer
        self.pad_id = pad_id
        self._token_type_ids = token_type_ids
        self._mask_id = mask_id
        self.max_length = max_length
        self.length_limit = length_limit

    @classmethod
    def from_folder(cls, folder: Path, max_length: int) -> TextEncoder:
        """The text encoder of a model folder.

        :raises ModelError: the folder has no tokenizer that can be read; see :func:`load_tokenizer`.
        """
        found = load_tokenizer(folder)
        return cls(
            found.tokenizer,
            pad_id=found.pad_id,
            max_length=max_length,
            token_type_ids=found.token_type_ids,
            mask_id=found.mask_id,
            truncation_side=found.truncation_side,
            length_limit=found.length_limit,
        )

    def tokenize(
        self, first: Sequence[str], second: Sequence[str] | None = None, *, words: Words | None = None
    ) -> list[Tokens]:
        """Tokenize texts or pairs, in order.

        Lone surrogates, which no tokenizer takes, become U+FFFD. The first truncation of a process is logged.

        :param words: locate the words of single texts too: those of :func:`join_words`, or of a raw text, which is
            then read with single spaces between its words.
        """
        texts: list[Any] = [without_lone_surrogates(text) for text in first]
        if words == "found":
            return self._tokenize_raw(texts)
        if second is not None:
            texts = list(zip(texts, map(without_lone_surrogates, second), strict=True))
        encodings = self._encode(texts, offsets=words is not None)
        if words is None:
            return [_tokens(encoding) for encoding in encodings]
        pairs = zip(texts, encodings, strict=True)
        return [_tokens(found, _seen(found, first_tokens(text, _all_offsets(found)))) for text, found in pairs]

    def _tokenize_raw(self, texts: Sequence[str]) -> list[Tokens]:
        spans = [find_words(text) for text in texts]
        joined = [join_words([text[start:end] for start, end in row]) for text, row in zip(texts, spans, strict=True)]
        rows = zip(joined, spans, self._encode(joined, offsets=True), strict=True)
        return [_with_found_words(text, row, encoding) for text, row, encoding in rows]

    def _encode(self, texts: Sequence[Any], *, offsets: bool) -> list[Encoding]:
        # The fast variant leaves out the offsets of tokens in the text.
        encode = self._tokenizer.encode_batch if offsets else self._tokenizer.encode_batch_fast
        encodings = encode(texts)
        if any(encoding.overflowing for encoding in encodings):
            _warn_of_truncation(self.max_length)
        return encodings

    def pad(self, examples: Sequence[Tokens]) -> Batch:
        """One batch, padded on the right to its longest example."""
        return pad(examples, pad_id=self.pad_id, token_type_ids=self._token_type_ids)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the model's inputs that :meth:`pad` fills."""
        return INPUT_NAMES if self._token_type_ids else INPUT_NAMES[:2]

    @property
    def mask_id(self) -> int:
        """The token id of the mask.

        :raises ModelError: the tokenizer has none.
        """
        if self._mask_id is None:
            raise ModelError("the tokenizer has no mask token, which masked language modelling needs")
        return self._mask_id

    @property
    def special_ids(self) -> list[int]:
        """The ids of special tokens, padding included, in ascending order."""
        added = self._tokenizer.get_added_tokens_decoder()
        # [CLS] and [SEP], which are put around a text, need not be marked as special in the vocabulary.
        around = self._tokenizer.encode("").ids
        return sorted({*around, self.pad_id, *(index for index, token in added.items() if token.special)})

    @cached_property
    def vocabulary_size(self) -> int:
        """One more than the largest token id, of added tokens too; the ids may have holes."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def segment_types(self) -> int:
        """The number of segment types that a pair is given: 1 if the model takes none."""
        pair = self._tokenizer.encode("a", "b", add_special_tokens=True)
        return max(pair.type_ids) + 1 if self._token_type_ids else 1

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """The text of tokens, as the tokenizer puts them together.

        :param skip_special: leave out special tokens, such as [CLS].
        """
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=skip_special))

    def token(self, index: int) -> str:
        """The token of an id, as the vocabulary spells it; empty where it has none."""
        return str(self._tokenizer.id_to_token(index) or "")


def _with_found_words(text: str, spans: Sequence[tuple[int, int]], encoding: Encoding) -> Tokens:
    starts, places = found_words(text, spans, _all_offsets(encoding))
    return _tokens(encoding, _seen(encoding, starts), places)


def _all_offsets(encoding: Encoding) -> list[tuple[int, int]]:
    """The offsets of tokens, with those of the truncated ones, which tell words apart too."""
    return [offset for part in _parts(encoding) for offset in part.offsets]


def _seen(encoding: Encoding, positions: Sequence[int]) -> tuple[int, ...]:
    """Positions among all tokens as positions in the input; -1 of those that were truncated."""
    length, parts = len(encoding.ids), _parts(encoding)
    before = sum(len(part.ids) for part in parts[: parts.index(encoding)])
    return tuple(at - before if 0 <= at - before < length else -1 for at in positions)


def _parts(encoding: Encoding) -> list[Encoding]:
    """The input and what was truncated, in the order of the text: truncation may be on the left."""
    return sorted((encoding, *encoding.overflowing), key=lambda part: max(part.offsets, default=(0, 0)))


def _tokens(encoding: Encoding, starts: tuple[int, ...] = (), spans: tuple[tuple[int, int], ...] = ()) -> Tokens:
    return Tokens(encoding.ids, encoding.type_ids, starts, spans, is_truncated=bool(encoding.overflowing))


@cache
def _warn_of_truncation(max_length: int) -> None:
    """One warning a process: the cache swallows further calls."""
    _log.warning("texts longer than %d tokens are truncated (said once)", max_length)
