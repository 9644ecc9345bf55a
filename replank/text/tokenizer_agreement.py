"""Whether ``tokenizer.json`` alone is the tokenizer that transformers makes of all the files of a folder.

Told without transformers, so that a folder whose files agree needs none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tokenizers import AddedToken

from replank.text.tokenizer_classes import CLASSES, Given, TokenizerClass, class_name
from replank.text.tokenizer_settings import added_tokens, nameless_special_tokens, special_tokens

# Settings by which transformers reads other files, or none.
_ODD_SETTINGS = ("fast_tokenizer_files", "init_inputs", "gguf_file", "tokenizer_object", "post_processor")


def disagreement(given: Given, config: Mapping[str, Any], beside: Mapping[str, Any]) -> str | None:
    """What ``tokenizer.json`` has that transformers would make otherwise, in words; ``None`` if nothing.

    :param config: the model's ``config.json``.
    :param beside: the content of ``added_tokens.json``.
    """
    name = class_name(given.settings, config)
    if name not in CLASSES:
        return f"only transformers knows what {name or 'its class'} makes of it"
    if odd := [setting for setting in _ODD_SETTINGS if given.settings.get(setting)]:
        return f"tokenizer_config.json has {odd[0]}"
    kind = CLASSES[name]
    given = replace(given, settings={**kind.tokens, **given.settings})
    return _other_token(given, kind, beside) or _other_part(given, kind, name)


def _other_token(given: Given, kind: TokenizerClass, beside: Mapping[str, Any]) -> str | None:
    """A token that transformers would add, or would treat otherwise."""
    found = given.tokenizer.get_added_tokens_decoder()
    ids = {token.content: index for index, token in found.items()}
    for token in given.content.get("added_tokens") or ():
        # transformers adds them in the order of the ids that are written.
        if ids.get(token["content"]) != token["id"]:
            return f"its added token {token['content']!r} has the id {token['id']}, and gets another"
    if "added_tokens_decoder" in given.settings:
        other = _other_in_decoder(given, kind, found)
    else:
        missing = [text for text, index in beside.items() if ids.get(text) != index]
        other = f"added_tokens.json adds {missing[0]!r} as {beside[missing[0]]}, and it does not" if missing else None
    nameless = nameless_special_tokens(given.settings) or kind.nameless_tokens
    for text in (*special_tokens(given.settings).values(), *nameless):
        if text not in ids or not found[ids[text]].special:
            other = other or f"{text!r} is a special token, and not among those that it adds"
    return other


def _other_in_decoder(given: Given, kind: TokenizerClass, found: Mapping[int, AddedToken]) -> str | None:
    wanted = added_tokens(given.settings)
    for index, token in wanted.items():
        if index not in found or _attributes(found[index]) != _attributes(token):
            return f"tokenizer_config.json adds {token.content!r} as {index}, and it does not, or otherwise"
    lacking = [token.content for index, token in found.items() if index not in wanted]
    if kind.parts and lacking:
        return f"it adds {lacking[0]!r}, which added_tokens_decoder of tokenizer_config.json lacks"
    return None


def _other_part(given: Given, kind: TokenizerClass, name: str) -> str | None:
    """A part, such as the normalizer, that the class makes otherwise."""
    if kind.parts is None:
        return None
    try:
        right = kind.parts(given)
    except (TypeError, ValueError) as error:
        return f"{name} cannot be made of it: {error}"
    model = given.content["model"] | {"type": type(given.tokenizer.model).__name__}
    parts = {"model": ({key: _none_if_absent(model.get(key)) for key in right.model}, right.model)}
    for part in ("normalizer", "pre_tokenizer", "post_processor"):
        parts[part] = _content(getattr(given.tokenizer, part)), _content(getattr(right, part))
    for part, (found, expected) in parts.items():
        for key in sorted(found.keys() | expected.keys()):
            if found.get(key) != expected.get(key):
                values = (
                    f"{_shown(found.get(key))}, and by {name} with tokenizer_config.json {_shown(expected.get(key))}"
                )
                return f"{key} of its {part} is {values}"
    return None


def _attributes(token: AddedToken) -> tuple[Any, ...]:
    return token.content, token.single_word, token.lstrip, token.rstrip, token.normalized, token.special


def _content(part: Any) -> dict[str, Any]:
    """A part as ``tokenizer.json`` has it."""
    return {} if part is None else json.loads(part.__getstate__())


def _none_if_absent(value: Any) -> Any:
    """Of a model; older files leave out what is false or empty."""
    return None if value is False or value == "" else value


def _shown(value: Any) -> str:
    return f"{json.dumps(value, ensure_ascii=False):.60}"
