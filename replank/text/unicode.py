"""Text that UTF-8 cannot encode."""

from __future__ import annotations

import re

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def without_lone_surrogates(text: str) -> str:
    """The text with U+FFFD in place of lone surrogates, which JSON and Python can hold but UTF-8 cannot encode."""
    return _LONE_SURROGATE.sub("\ufffd", text)
