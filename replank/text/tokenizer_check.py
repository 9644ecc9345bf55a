"""The ids of a text encoder compared with those of transformers, whose tokenizer a model was trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from replank.system.errors import ModelError
from replank.system.quiet import quiet_logging
from replank.text.tokenization import TextEncoder
from replank.text.tokenizer_reading import is_artifact
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


def check_tokenizer(folder: Path) -> None:
    """Refuse a model folder whose texts would get other ids than transformers gives; an artifact was checked before.

    It takes transformers' import, and then as long as reading the tokenizer twice.

    :raises ModelError: with the first text that differs, or the folder has no tokenizer that can be read.
    """
    if not is_artifact(folder):
        require_same_ids(TextEncoder.from_folder(folder, _MAX_LENGTH), made_by_transformers(folder, ""), folder)


def require_same_ids(encoder: TextEncoder, reference: Any, name: object) -> None:
    """Compare short, odd, long and paired texts, and texts with added tokens.

    :param reference: the tokenizer of transformers.
    :param name: of the model, for the message.
    :raises ModelError: with the first text that differs.
    """
    added = sorted(reference.get_added_vocab())[:_ADDED_TOKENS]
    texts = [*_TEXTS, *(f"the {token} film{token}s" for token in added)]
    for seconds in (None, texts[::-1]):
        with quiet_logging():  # of truncation
            found = encoder.tokenize(texts, seconds)
        right = reference(texts, seconds, truncation=True, max_length=encoder.max_length, return_token_type_ids=True)
        for row, tokens in enumerate(found):
            ours, theirs = (tokens.ids, tokens.type_ids), (right["input_ids"][row], right["token_type_ids"][row])
            if ours != theirs:
                text = f"{texts[row]!r} with {seconds[row]!r}" if seconds else repr(texts[row])
                part = int(ours[0] == theirs[0])
                raise ModelError(
                    f"the tokenizer of {name} gives other ids than that of transformers: {text} is {ours[part]}, "
                    f"not {theirs[part]}",
                    hint="please report it with the files of the tokenizer",
                )
