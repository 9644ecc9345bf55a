"""The tokenizer of a model folder: reading it with the settings that go with it, and copying it to another folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from replank.system.errors import ModelError
from replank.system.extras import require
from replank.system.json_files import read_json
from replank.text.padding import INPUT_NAMES

_VOCABULARY_FILES = ("vocab.txt", "vocab.json", "sentencepiece.bpe.model")
_CONFIG = "tokenizer_config.json"


@dataclass(frozen=True)
class TokenizerFiles:
    """A tokenizer as its folder describes it.

    :param pad_id: the token id of padding.
    :param mask_id: the token id of the mask; ``None`` if there is none.
    :param token_type_ids: whether the model takes them.
    """

    tokenizer: Tokenizer
    pad_id: int
    mask_id: int | None
    token_type_ids: bool


def load_tokenizer(folder: Path) -> TokenizerFiles:
    """Read the tokenizer of a model folder.

    :raises ModelError: the folder has no ``config.json``, or no tokenizer that can be read.
    """
    config = read_json(folder / "config.json")
    settings = read_json(folder / _CONFIG, optional=True)
    tokenizer = _load(folder)
    pad_id = _token_id(tokenizer, settings.get("pad_token"))
    return TokenizerFiles(
        tokenizer,
        pad_id=config.get("pad_token_id") or 0 if pad_id is None else pad_id,
        mask_id=_mask_id(folder, tokenizer, settings),
        token_type_ids=_takes_token_type_ids(folder, settings),
    )


def save_tokenizer(source: Path, folder: Path) -> None:
    """Copy the tokenizer of one model folder into another, byte for byte where it has a ``tokenizer.json``.

    The names of the model's inputs are added to its settings, so that no reader has to guess them again.
    """
    for name in ("tokenizer.json", "special_tokens_map.json"):
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    if not (folder / "tokenizer.json").exists():
        _load(source).save(str(folder / "tokenizer.json"))
    settings = read_json(source / _CONFIG, optional=True)
    names = INPUT_NAMES if _takes_token_type_ids(source, settings) else INPUT_NAMES[:2]
    content = json.dumps(settings | {"model_input_names": list(names)}, indent=2)
    (folder / _CONFIG).write_text(content, encoding="utf-8")


def _load(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.exists():
        return _convert(folder)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise ModelError(f"cannot read {path}: {error}") from None


def _convert(folder: Path) -> Tokenizer:
    """A fast tokenizer, made by transformers, of an older folder that has only a vocabulary."""
    if not any((folder / name).exists() for name in _VOCABULARY_FILES):
        raise ModelError(f"{folder} has no tokenizer.json", hint="save the tokenizer into the model's folder")
    require("transformers")
    from transformers import AutoTokenizer

    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    except Exception as error:  # whatever a broken vocabulary makes transformers raise
        raise ModelError(f"cannot load the tokenizer of {folder}: {error}") from error
    return tokenizer


def _token_id(tokenizer: Tokenizer, token: Any) -> int | None:
    """The id of a token that ``tokenizer_config.json`` names, as a string or with its attributes."""
    content = token.get("content") if isinstance(token, dict) else token
    return tokenizer.token_to_id(content) if isinstance(content, str) else None


def _mask_id(folder: Path, tokenizer: Tokenizer, settings: dict[str, Any]) -> int | None:
    """The token id of the mask: as the folder names it, else by its usual spellings."""
    named = read_json(folder / "special_tokens_map.json", optional=True).get("mask_token")
    known = (_token_id(tokenizer, token) for token in (settings.get("mask_token"), named, "[MASK]", "<mask>"))
    return next((index for index in known if index is not None), None)


def _takes_token_type_ids(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether the tokenizer's settings list ``token_type_ids``; without a list, whether the model has several types."""
    if names := settings.get("model_input_names"):
        return "token_type_ids" in names
    return int(read_json(folder / "config.json").get("type_vocab_size") or 0) > 1
