"""The tokenizer of a model folder written into another one, where ``tokenizer.json`` is all of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from replank.system.json_files import read_json
from replank.text.padding import INPUT_NAMES
from replank.text.tokenizer_reading import TOKENIZER, TokenizerFiles, is_artifact, load_tokenizer
from replank.text.tokenizer_settings import CONFIG, SPECIAL_TOKENS


def save_tokenizer(source: Path, folder: Path) -> None:
    """Write the tokenizer of one model folder into another, whose ``config.json`` is there.

    It is copied, byte for byte, where the files agree; else ``tokenizer.json`` is written anew, with a
    ``tokenizer_config.json`` by which transformers takes it as it is. The names of the model's inputs are added to the
    settings, so that no reader has to guess them again.

    :raises ModelError: the source has no tokenizer that can be read.
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


def _settings_of(found: TokenizerFiles) -> dict[str, Any]:
    """The content of ``tokenizer_config.json`` by which transformers takes ``tokenizer.json`` as it is."""
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", **found.tokens}
    if found.length_limit is not None:
        settings["model_max_length"] = found.length_limit
    if found.tokenizer.encode_special_tokens:
        settings["split_special_tokens"] = True
    return settings | {"truncation_side": found.truncation_side}
