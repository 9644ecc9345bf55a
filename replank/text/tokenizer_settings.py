"""The settings of a tokenizer: ``tokenizer_config.json`` and the older files beside it, merged as transformers does.

https://github.com/huggingface/transformers, ``PreTrainedTokenizerBase._from_pretrained``
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from replank.system.errors import ModelError
from replank.system.json_files import read_json

CONFIG, SPECIAL_TOKENS, ADDED_TOKENS = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
TOKEN_NAMES = tuple(f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))

Settings = Mapping[str, Any]
# Larger values, such as transformers' 10^30, mean that there is no limit.
_LARGEST_LIMIT = 10**6


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of the tokenizer in a folder; without files, there are none.

    ``special_tokens_map.json`` counts only where ``tokenizer_config.json`` has no ``added_tokens_decoder``.

    :raises ModelError: a file is no JSON object, or has a value of the wrong kind.
    """
    settings = _read(folder / CONFIG)
    beside = _read(folder / SPECIAL_TOKENS)
    return settings if "added_tokens_decoder" in settings else settings | beside


def added_tokens(settings: Settings) -> dict[int, AddedToken]:
    """The tokens of ``added_tokens_decoder`` by their ids."""
    decoder = settings.get("added_tokens_decoder") or {}
    return {int(index): AddedToken(**token) for index, token in decoder.items()}


def special_tokens(settings: Settings) -> dict[str, str]:
    """The special tokens that have a name, such as ``pad_token``."""
    named = {key: value for key, value in settings.items() if key.endswith("_token")}
    extra = _extra_tokens(settings)
    texts = {key: text_of(value) for key, value in (named | (extra if isinstance(extra, dict) else {})).items()}
    return {key: text for key, text in texts.items() if text is not None}


def nameless_special_tokens(settings: Settings) -> list[str]:
    """The special tokens of ``extra_special_tokens``, which older files call ``additional_special_tokens``."""
    extra = _extra_tokens(settings)
    return [] if isinstance(extra, dict) else [str(text_of(token)) for token in extra]


def text_of(token: Any) -> str | None:
    """The text of a token, which is written as a string or with its attributes."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def length_limit(settings: Settings) -> int | None:
    """The longest input in tokens, special tokens included; ``None`` if the settings have no limit."""
    limit = settings.get("model_max_length")
    return int(limit) if isinstance(limit, (int, float)) and 0 < limit <= _LARGEST_LIMIT else None


def _extra_tokens(settings: Settings) -> Any:
    return settings.get("extra_special_tokens") or settings.get("additional_special_tokens") or []


def _read(file: Path) -> dict[str, Any]:
    """The settings of a file, of which no value would surface far from it as being of the wrong kind."""
    values = read_json(file, optional=True)
    for names, is_sound, expected in _CHECKS:
        for name in names:
            if values.get(name) is not None and not is_sound(values[name]):
                raise ModelError(f"{file} has {name} {values[name]!r:.80}; expected {expected}")
    return values


def _is_token(value: Any) -> bool:
    return text_of(value) is not None


def _are_tokens(value: Any) -> bool:
    return isinstance(value, (list, dict)) and all(map(_is_token, value.values() if isinstance(value, dict) else value))


def _are_added_tokens(value: Any) -> bool:
    try:
        return all(_is_token(token) and int(index) >= 0 and AddedToken(**token) for index, token in value.items())
    except (AttributeError, TypeError, ValueError):
        return False


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


_CHECKS: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (TOKEN_NAMES, _is_token, "a token: a string, or an object with its content"),
    (("extra_special_tokens", "additional_special_tokens"), _are_tokens, "a list of tokens"),
    (("added_tokens_decoder",), _are_added_tokens, "tokens by their ids"),
    (("tokenizer_class",), lambda value: isinstance(value, str), "the name of a class"),
    (("model_input_names",), _are_names, "a list of names"),
    (("truncation_side", "padding_side"), lambda value: value in ("left", "right"), "left or right"),
)
