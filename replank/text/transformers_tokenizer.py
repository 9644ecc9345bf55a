"""The tokenizer that transformers makes of all the files of a folder: what it does is right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replank.system.errors import ModelError
from replank.system.extras import installed_version, require
from replank.system.quiet import quiet_transformers
from replank.text.tokenizer_classes import class_name
from replank.text.tokenizer_settings import CONFIG, Settings

# Classes of encoders that are Python code. transformers has more, and is asked where it is installed.
_WITHOUT_FAST_FORM = tuple(
    f"{name}Tokenizer"
    for name in ("Bartpho", "BertJapanese", "Bertweet", "Canine", "Esm", "Flaubert", "Phobert", "RoCBert", "XLM")
)


def refuse_without_fast_form(folder: Path, settings: Settings, config: Mapping[str, Any]) -> None:
    """Refuse a tokenizer that is Python code, of transformers or of strangers; that of strangers is never run.

    :param config: the model's ``config.json``.
    :raises ModelError: with the name of its class.
    """
    stranger = settings.get("auto_map")
    if isinstance(stranger, dict):
        stranger = stranger.get("AutoTokenizer")
    if isinstance(stranger, list):
        stranger = next((name for name in reversed(stranger) if name), None)
    if stranger:
        raise ModelError(
            f"{folder / CONFIG} asks for the tokenizer {stranger}, which is code that comes with the model",
            hint="replank runs no such code; it reads a tokenizer.json without auto_map beside it",
        )
    if (name := class_name(settings, config)) in _WITHOUT_FAST_FORM:
        raise _without_fast_form(folder, name)


def made_by_transformers(folder: Path, reason: str) -> Any:
    """The tokenizer of a folder, as ``AutoTokenizer`` loads it.

    :param reason: what keeps ``tokenizer.json`` from being all of it, for the message where transformers is missing.
    :returns: a ``PreTrainedTokenizerFast``.
    :raises MissingExtraError: a package is missing that reads the models of SentencePiece.
    :raises ModelError: transformers is not installed, cannot read the files, or has no fast form of the tokenizer.
    """
    if installed_version("transformers") is None:
        raise ModelError(
            f"the tokenizer of {folder} needs transformers: {reason}",
            hint='pip install "replank[tokenizers]"; an artifact made where it is installed needs it no more',
        )
    is_written = (folder / "tokenizer.json").exists()
    if not is_written and any(folder.glob("*.model")):
        require("sentencepiece", "protobuf")
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # whatever a broken vocabulary makes transformers raise
        raise ModelError(f"transformers cannot load the tokenizer of {folder}: {_first_line(error)}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise _without_fast_form(folder, type(tokenizer).__name__)
    if not is_written:
        _require_vocabulary(folder, tokenizer)
    return tokenizer


def _require_vocabulary(folder: Path, tokenizer: Any) -> None:
    """Refuse a folder without the files of the class: transformers makes an empty tokenizer of it, and says nothing."""
    needed = [file for kind, file in tokenizer.vocab_files_names.items() if kind != "tokenizer_file"]
    if missing := [file for file in needed if not (folder / file).exists()]:
        raise ModelError(
            f"{folder} has neither tokenizer.json nor {missing[0]}, which {type(tokenizer).__name__} reads",
            hint="save the tokenizer into the model's folder",
        )


def _without_fast_form(folder: Path, name: str) -> ModelError:
    return ModelError(
        f"the tokenizer of {folder} is a {name}, of which no fast form exists",
        hint="replank needs a tokenizer that a tokenizer.json can hold; such a model cannot be taken",
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
