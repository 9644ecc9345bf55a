"""What a pretraining begins with: a configuration and a tokenizer, put together in one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from replank.models.encoders import encoder_of
from replank.models.hub import HUB_NAME, fetch_model
from replank.system.errors import ModelError
from replank.system.json_files import read_json
from replank.text.tokenization import TextEncoder

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "*.model",
)
# Longer than any text: blocks are cut where they end, and nothing is truncated before.
_WHOLE = 2**30


@contextmanager
def encoder_files(encoder: str | Path, tokenizer: str | Path | None) -> Iterator[Path]:
    """A folder with ``config.json`` and a tokenizer that fits it.

    :param encoder: a configuration's file, a folder with one, or a hub model; weights are passed over.
    :param tokenizer: a folder or hub model with a tokenizer; ``None``: it lies beside the configuration.
    :raises ModelError: there is none, it is of no encoder that replank knows, or the two do not fit.
    """
    place = Path(encoder) if Path(encoder).is_file() else _folder(encoder) / "config.json"
    config = read_json(place)
    encoder_of(config, str(encoder))
    origin = place.parent if tokenizer is None else _folder(tokenizer)
    files = [path for pattern in _TOKENIZER_FILES for path in sorted(origin.glob(pattern))]
    if not files:
        raise ModelError(
            f"{tokenizer or encoder} has no tokenizer", hint="name a model folder that has one with `tokenizer`"
        )
    with TemporaryDirectory(prefix="replank-") as name:
        folder = Path(name)
        for path in files:
            shutil.copyfile(path, folder / path.name)
        _write(folder, config)
        _write(folder, config | _fitting(str(encoder), folder, config))
        yield folder


def whole_text_encoder(folder: Path) -> TextEncoder:
    """The tokenizer of a folder, truncating nothing."""
    return TextEncoder.from_folder(folder, _WHOLE)


def block_encoder(folder: Path, length: int) -> TextEncoder:
    """The tokenizer of a folder, for blocks of so many tokens."""
    return TextEncoder.from_folder(folder, length)


def _folder(name: str | Path) -> Path:
    if Path(name).is_dir():
        return Path(name)
    if Path(name).exists() or not HUB_NAME.fullmatch(str(name)):
        raise ModelError(f"there is no folder {name}", hint="expected config.json, a folder with it, or a hub model")
    return fetch_model(str(name))


def _fitting(name: str, folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The settings that the tokenizer decides.

    :raises ModelError: the configuration has too small a vocabulary.
    """
    text_encoder = whole_text_encoder(folder)
    tokens = text_encoder.vocabulary_size
    if config.get("vocab_size", tokens) < tokens:
        raise ModelError(
            f"{name}: config.json says vocab_size {config['vocab_size']}, the tokenizer has {tokens} tokens",
            hint="leave vocab_size out, and it is the tokenizer's",
        )
    return {"vocab_size": config.get("vocab_size", tokens), "pad_token_id": text_encoder.pad_id}


def _write(folder: Path, config: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
