"""Texts in lines: the format of text files and of standard input."""

from __future__ import annotations

import json
from pathlib import Path

from replank.system.errors import DataError
from replank.text.unicode import without_lone_surrogates


def read_texts(path: Path) -> list[tuple[str, ...]]:
    """The texts, or pairs of texts, of a file with one a line; see :func:`parse_text_line`. Blank lines are skipped.

    :raises DataError: the file cannot be read as UTF-8, holds no text, or not all lines are texts, or all pairs.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {path}: {error}", hint="expected a text file in UTF-8") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    texts: list[tuple[str, ...]] = []
    # Not splitlines(): a text may hold U+2028 or a form feed.
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            row = parse_text_line(line.removesuffix("\r"))
            expected = len(texts[0]) if texts else min(len(row), 2)
            if len(row) != expected:
                raise DataError(
                    f"{path}, line {number}: {len(row)} texts; expected {expected}",
                    hint='a tab, or JSON such as ["first", "second"], makes a pair; a text with a tab is a JSON string',
                )
            texts.append(row)
    if not texts:
        raise DataError(f"{path} holds no text")
    return texts


def parse_text_line(line: str, width: int | None = None) -> tuple[str, ...]:
    """The texts of a line: one, or the two of a pair.

    A JSON string is one text, and a JSON list of strings is a pair; any other line is a text as it stands, or a pair
    with a tab between.

    :param line: without its end.
    :param width: the number of texts that the model takes: of a model of single texts, a tab is part of the text.
        By default, a tab makes a pair.
    :returns: as many texts as the line has, which need not be ``width``.
    """
    texts = _json_texts(line) or tuple(line.split("\t", 1 if width is None else width - 1))
    return tuple(map(without_lone_surrogates, texts))


def _json_texts(line: str) -> tuple[str, ...]:
    """The texts of a line that is JSON of the right form; any other line is a text itself."""
    if line[:1] not in ('"', "["):
        return ()
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return ()
    texts = tuple(value) if isinstance(value, list) else (value,)
    return texts if all(isinstance(text, str) for text in texts) else ()
