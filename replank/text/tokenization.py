"""Texts to batches of token ids: the only place that decides padding and truncation."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from replank.system.errors import ModelError
from replank.system.extras import require
from replank.text.words import first_tokens

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_log = logging.getLogger(__name__)

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Padded token ids, all of shape ``(batch, length)`` and type int64.

    :param attention_mask: 1 for a token, 0 for padding, which may be anywhere.
    :param token_type_ids: 0 for the first text and 1 for the second; ``None`` if the model has no such input.
    """

    input_ids: Ids
    attention_mask: Ids
    token_type_ids: Ids | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """``(batch, length)``."""
        rows, length = self.input_ids.shape
        return rows, length

    def inputs(self) -> dict[str, Ids]:
        """The arrays under the names of the model's inputs."""
        return {name: value for name in INPUT_NAMES if (value := getattr(self, name)) is not None}


@dataclass(frozen=True)
class Tokens:
    """One example, tokenized and truncated, special tokens included.

    :param starts: where asked for, the position of each word's first token; see :func:`first_tokens`.
    """

    ids: list[int]
    type_ids: list[int]
    starts: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


class TextEncoder:
    """A tokenizer with the decisions that go with a model.

    :param tokenizer: made its own: its padding and truncation settings are replaced.
    :param pad_id: the token id of padding; it matters, as RoBERTa counts positions by it.
    :param max_length: tokens to truncate to; of a pair, the longer text loses first.
    :param segments: whether the model takes ``token_type_ids``.
    :param mask_id: the token id of the mask, which masked language modelling alone needs.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, pad_id: int, max_length: int, segments: bool, mask_id: int | None = None
    ) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length, strategy="longest_first")
        self._tokenizer = tokenizer
        self._pad_id = pad_id
        self._segments = segments
        self._mask_id = mask_id
        self.max_length = max_length

    @classmethod
    def from_folder(cls, folder: Path, max_length: int) -> TextEncoder:
        """The text encoder of a model folder.

        :raises ModelError: the folder has no tokenizer.
        """
        config = read_json(folder / "config.json")
        settings = read_json(folder / "tokenizer_config.json", optional=True)
        tokenizer = _load_tokenizer(folder)
        pad_id, mask_id = (_token_id(tokenizer, settings.get(name)) for name in ("pad_token", "mask_token"))
        if mask_id is None:
            named = read_json(folder / "special_tokens_map.json", optional=True).get("mask_token")
            known = (_token_id(tokenizer, token) for token in (named, "[MASK]", "<mask>"))
            mask_id = next((index for index in known if index is not None), None)
        return cls(
            tokenizer,
            pad_id=config.get("pad_token_id") or 0 if pad_id is None else pad_id,
            max_length=max_length,
            segments=_takes_segments(folder, settings),
            mask_id=mask_id,
        )

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the model's inputs that :meth:`pad` fills."""
        return INPUT_NAMES if self._segments else INPUT_NAMES[:2]

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
        """Token ids that stand for no text."""
        added = self._tokenizer.get_added_tokens_decoder()
        # What puts [CLS] and [SEP] around a text need not be marked as special in the vocabulary.
        around = self._tokenizer.encode("").ids
        return sorted({*around, self._pad_id, *(index for index, token in added.items() if token.special)})

    @property
    def vocabulary_size(self) -> int:
        """How many token ids there are."""
        return int(self._tokenizer.get_vocab_size())

    def token(self, index: int) -> str:
        """The token of an id, as the vocabulary spells it; empty where it has none."""
        return str(self._tokenizer.id_to_token(index) or "")

    def tokenize(
        self, first: Sequence[str], second: Sequence[str] | None = None, *, words: bool = False
    ) -> list[Tokens]:
        """Tokenize texts or pairs, in order.

        Lone surrogates, which no tokenizer takes, become U+FFFD. That a text is truncated is logged once.

        :param words: find the words of single texts too; see :func:`join_words`.
        """
        texts: list[Any] = [without_lone_surrogates(text) for text in first]
        if second is not None:
            texts = list(zip(texts, map(without_lone_surrogates, second), strict=True))
        # The fast one leaves out where tokens lie in the text.
        encode = self._tokenizer.encode_batch if words else self._tokenizer.encode_batch_fast
        encodings = encode(texts)
        if any(encoding.overflowing for encoding in encodings):
            _tell_of_truncation(self.max_length)
        if words:
            pairs = zip(texts, encodings, strict=True)
            return [Tokens(found.ids, found.type_ids, first_tokens(text, found.offsets)) for text, found in pairs]
        return [Tokens(encoding.ids, encoding.type_ids) for encoding in encodings]

    def pad(self, examples: Sequence[Tokens]) -> Batch:
        """One batch, padded on the right to its longest example."""
        length = max(map(len, examples))
        shape = (len(examples), length)
        input_ids = np.full(shape, self._pad_id, dtype=np.int64)
        attention_mask = np.zeros(shape, dtype=np.int64)
        type_ids = np.zeros(shape, dtype=np.int64)
        for row, example in enumerate(examples):
            input_ids[row, : len(example)] = example.ids
            attention_mask[row, : len(example)] = 1
            type_ids[row, : len(example)] = example.type_ids
        return Batch(input_ids, attention_mask, type_ids if self._segments else None)


def without_lone_surrogates(text: str) -> str:
    """The text with U+FFFD for each half character, which JSON and Python can hold but UTF-8 cannot."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def save_tokenizer(source: Path, folder: Path) -> None:
    """Put the tokenizer of one model folder into another, byte for byte where it has a ``tokenizer.json``.

    The inputs that the model takes are written down, so that no reader has to guess them again.
    """
    for name in ("tokenizer.json", "special_tokens_map.json"):
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    if not (folder / "tokenizer.json").exists():
        _load_tokenizer(source).save(str(folder / "tokenizer.json"))
    settings = read_json(source / "tokenizer_config.json", optional=True)
    inputs = {"model_input_names": list(INPUT_NAMES if _takes_segments(source, settings) else INPUT_NAMES[:2])}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | inputs, indent=2), encoding="utf-8")


def read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """A JSON object from a model folder.

    :param optional: an absent file reads as ``{}``.
    :raises ModelError: the file is missing or is no JSON object.
    """
    if optional and not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} has no {path.name}") from None
    except (ValueError, OSError, RecursionError) as error:
        raise ModelError(f"cannot read {path}: {error}") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path} holds no JSON object")
    return values


def _takes_segments(folder: Path, settings: dict[str, Any]) -> bool:
    """The tokenizer's word decides; where it says nothing, whether the model knows more than one segment."""
    if names := settings.get("model_input_names"):
        return "token_type_ids" in names
    return int(read_json(folder / "config.json").get("type_vocab_size") or 0) > 1


def _token_id(tokenizer: Tokenizer, token: Any) -> int | None:
    """The id of a token that ``tokenizer_config.json`` names, as a string or with its attributes."""
    content = token.get("content") if isinstance(token, dict) else token
    return tokenizer.token_to_id(content) if isinstance(content, str) else None


def _load_tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.exists():
        return _convert_tokenizer(folder)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise ModelError(f"cannot read {path}: {error}") from None


def _convert_tokenizer(folder: Path) -> Tokenizer:
    """Older folders have a vocabulary only; transformers knows how to make a fast tokenizer of it."""
    if not any((folder / name).exists() for name in ("vocab.txt", "vocab.json", "sentencepiece.bpe.model")):
        raise ModelError(f"{folder} has no tokenizer.json", hint="save the tokenizer into the model's folder")
    require("transformers")
    from transformers import AutoTokenizer

    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    except Exception as error:  # whatever a broken vocabulary makes transformers raise
        raise ModelError(f"cannot load the tokenizer of {folder}: {error}") from error
    return tokenizer


@cache
def _tell_of_truncation(max_length: int) -> None:
    """Said once a process: the cache swallows every further call."""
    _log.warning("texts longer than %d tokens are truncated (said once)", max_length)
