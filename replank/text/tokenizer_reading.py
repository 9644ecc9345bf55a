"""The tokenizer of a model folder, as all of its files describe it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from replank.system.errors import ModelError
from replank.system.files import MANIFEST
from replank.system.json_files import read_json
from replank.text.tokenizer_agreement import disagreement
from replank.text.tokenizer_classes import CLASSES, Given, class_name
from replank.text.tokenizer_settings import ADDED_TOKENS, Settings, length_limit, read_settings, special_tokens
from replank.text.transformers_tokenizer import made_by_transformers, refuse_without_fast_form

TOKENIZER = "tokenizer.json"
_VOCABULARIES = ("vocab.txt", "vocab.json", "*.model")
# What stands in place of a large file that Git LFS has not fetched.
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class TokenizerFiles:
    """A tokenizer as its folder describes it.

    :param tokenizer: gives the ids that transformers gives.
    :param tokens: the special tokens that have a name, such as ``pad_token``.
    :param pad_id: the token id of padding.
    :param mask_id: the token id of the mask; ``None`` if there is none.
    :param token_type_ids: whether the model takes them.
    :param truncation_side: the end that a text loses which is too long, ``left`` or ``right``.
    :param length_limit: the longest input in tokens, special tokens included; ``None`` if the files name none.
    :param agrees: whether transformers makes of the files what ``tokenizer.json`` says.
    """

    tokenizer: Tokenizer
    tokens: Mapping[str, str]
    pad_id: int
    mask_id: int | None
    token_type_ids: bool
    truncation_side: str
    length_limit: int | None
    agrees: bool


def load_tokenizer(folder: Path) -> TokenizerFiles:
    """Read the tokenizer of a model folder.

    An artifact's is its ``tokenizer.json``, as which its model was made. Elsewhere all files count, as they do for
    transformers, which is imported if they do not agree.

    :raises ModelError: the folder has no ``config.json``, or no tokenizer that can be read.
    """
    config, settings = read_json(folder / "config.json"), read_settings(folder)
    if not is_artifact(folder):
        refuse_without_fast_form(folder, settings, config)
    if not (folder / TOKENIZER).exists():
        _require_vocabulary(folder)
        return _by_transformers(folder, settings, config, f"it has no {TOKENIZER}")
    given = _read(folder / TOKENIZER, settings)
    reason = disagreement(given, config, read_json(folder / ADDED_TOKENS, optional=True))
    if reason and not is_artifact(folder):
        return _by_transformers(folder, settings, config, f"its {TOKENIZER} is not all of it: {reason}")
    return _as_written(given, config, is_artifact(folder), agrees=reason is None)


def is_artifact(folder: Path) -> bool:
    """Whether replank wrote the folder."""
    return (folder / MANIFEST).exists()


def _as_written(given: Given, config: Mapping[str, Any], artifact: bool, *, agrees: bool) -> TokenizerFiles:
    settings, kind = given.settings, CLASSES.get(class_name(given.settings, config))
    truncation = given.tokenizer.truncation or {}
    return _described(
        given.tokenizer,
        special_tokens({**kind.tokens, **settings} if kind else settings),
        settings,
        config,
        gives_type_ids=artifact or (kind is not None and kind.token_type_ids),
        truncation_side=settings.get("truncation_side") or truncation.get("direction", "right"),
        agrees=agrees,
    )


def _by_transformers(folder: Path, settings: Settings, config: Mapping[str, Any], reason: str) -> TokenizerFiles:
    made = made_by_transformers(folder, reason)
    return _described(
        made.backend_tokenizer,
        made.special_tokens_map,
        settings,
        config,
        gives_type_ids="token_type_ids" in made.model_input_names,
        truncation_side=made.truncation_side,
        agrees=False,
    )


def _described(
    tokenizer: Tokenizer,
    tokens: Mapping[str, str],
    settings: Settings,
    config: Mapping[str, Any],
    *,
    gives_type_ids: bool,
    truncation_side: str,
    agrees: bool,
) -> TokenizerFiles:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    # No part of tokenizer.json.
    tokenizer.encode_special_tokens = bool(settings.get("split_special_tokens"))
    ids = {name: tokenizer.token_to_id(text) for name, text in tokens.items()}
    pad_id, mask_id = ids.get("pad_token"), ids.get("mask_token")
    usual_masks = (tokenizer.token_to_id(text) for text in ("[MASK]", "<mask>"))
    names = settings.get("model_input_names")
    several_types = int(config.get("type_vocab_size") or 0) > 1
    return TokenizerFiles(
        tokenizer,
        tokens,
        pad_id=config.get("pad_token_id") or 0 if pad_id is None else pad_id,
        mask_id=next((index for index in (mask_id, *usual_masks) if index is not None), None),
        token_type_ids="token_type_ids" in names if names else gives_type_ids and several_types,
        truncation_side=truncation_side,
        length_limit=length_limit(settings),
        agrees=agrees,
    )


def _read(path: Path, settings: Settings) -> Given:
    """``tokenizer.json`` alone."""
    content = path.read_bytes()
    if content.startswith(_POINTER):
        raise ModelError(f"{path} is a pointer of Git LFS, not the file", hint="fetch the file with: git lfs pull")
    try:
        return Given(settings, json.loads(content), Tokenizer.from_buffer(content))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise ModelError(f"cannot read {path}: {error}") from None


def _require_vocabulary(folder: Path) -> None:
    found = [path for pattern in _VOCABULARIES for path in folder.glob(pattern)]
    if not found:
        raise ModelError(f"{folder} has no {TOKENIZER}", hint="save the tokenizer into the model's folder")
    for path in found:
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise ModelError(f"{path} is a pointer of Git LFS, not the file", hint="git lfs pull fetches it")
