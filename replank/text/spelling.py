"""Spellings that a person takes for one."""

from __future__ import annotations

import unicodedata


def without_invisible(text: str) -> str:
    """A text without what nobody sees: its Unicode form (NFC), blanks at its ends, their kind and number between words,
    and format characters such as the zero-width space."""
    visible = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFC", " ".join(visible.split()))


def without_style(text: str) -> str:
    """Besides, without case and without the style of a letter or a digit (NFKC), such as full width."""
    return without_invisible(unicodedata.normalize("NFKC", text).casefold())
