"""A tokenizer written into another model folder: there ``tokenizer.json`` is all of it, and gives the same ids."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from replank.system.errors import ModelError
from replank.system.json_files import read_json
from replank.system.quiet import quiet_logging
from replank.text.padding import INPUT_NAMES
from replank.text.tokenization import TextEncoder
from replank.text.tokenizer_reading import TOKENIZER, TokenizerFiles, is_artifact, load_tokenizer
from replank.text.tokenizer_settings import CONFIG, SPECIAL_TOKENS
from replank.text.transformers_tokenizer import made_by_transformers

_TEXTS = (
    "",
    "The film is good.",
    "THE FILM, is it GOOD? É È ü ß İ ﬁ",
    "  two  spaces\tand\na line ",
    "日本語 中文 한국어 ภาษาไทย العربية",
    "a ship 🚢 and a family 👨‍👩‍👧",
    "don't e-mail me@example.org 12,345.67 naïve cafe\u0301 \u200b\u00ad",
    "the good film " * 20,
)
_MAX_LENGTH = 23
# A tokenizer may have thousands of added tokens.
_ADDED_TOKENS = 50


def save_tokenizer(source: Path, folder: Path) -> None:
    """Write the tokenizer of one model folder into another, whose ``config.json`` is there.

    It is copied, byte for byte, where the files agree; else ``tokenizer.json`` is written anew, with a
    ``tokenizer_config.json`` by which transformers takes it as it is. The names of the model's inputs are added to the
    settings, so that no reader has to guess them again. Where the stage has imported transformers, the ids of a few
    texts are compared with those of transformers on the source.

    :raises ModelError: the source has no tokenizer that can be read, or the ids differ.
    """
    found = load_tokenizer(source)
    names = list(INPUT_NAMES if found.token_type_ids else INPUT_NAMES[:2])
    if found.agrees or is_artifact(source):
        shutil.copyfile(source / TOKENIZER, folder / TOKENIZER)
    else:
        found.tokenizer.save(str(folder / TOKENIZER))
    if found.agrees and (source / SPECIAL_TOKENS).exists():
        shutil.copyfile(source / SPECIAL_TOKENS, folder / SPECIAL_TOKENS)
    settings = read_json(source / CONFIG, optional=True) if found.agrees else _settings_of(found)
    content = json.dumps(settings | {"model_input_names": names}, indent=2)
    (folder / CONFIG).write_text(content, encoding="utf-8")
    if "transformers" in sys.modules and not is_artifact(source):
        require_same_ids(TextEncoder.from_folder(folder, _MAX_LENGTH), made_by_transformers(source, ""), source)


def require_same_ids(encoder: TextEncoder, reference: Any, name: object) -> None:
    """Compare the ids of short, odd, long and paired texts with those of transformers.

    :param reference: the tokenizer of transformers.
    :param name: of the model, for the message.
    :raises ModelError: with the first text that differs.
    """
    added = sorted(reference.get_added_vocab())[:_ADDED_TOKENS]
    texts = [*_TEXTS, *(f"the {token} film{token}s" for token in added)]
    others = texts[::-1]
    for second in (None, others):
        with quiet_logging():  # of truncation
            ours = [tokens.ids for tokens in encoder.tokenize(texts, second)]
        theirs = reference(texts, second, truncation=True, max_length=encoder.max_length)["input_ids"]
        for text, other, ids, right in zip(texts, second or [""] * len(texts), ours, theirs, strict=True):
            if ids != right:
                shown = f"{text!r} with {other!r}" if second else repr(text)
                raise ModelError(
                    f"the tokenizer of {name} gives other ids than that of transformers: {shown} {ids}, not {right}",
                    hint="please report it with the files of the tokenizer",
                )


def _settings_of(found: TokenizerFiles) -> dict[str, Any]:
    """The content of ``tokenizer_config.json`` by which transformers takes ``tokenizer.json`` as it is."""
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", **found.tokens}
    if found.length_limit is not None:
        settings["model_max_length"] = found.length_limit
    if found.tokenizer.encode_special_tokens:
        settings["split_special_tokens"] = True
    return settings | {"truncation_side": found.truncation_side}
