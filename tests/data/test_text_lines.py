"""Lines that are texts, pairs, or JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from replank.data.text_lines import parse_text_line, read_texts
from replank.system.errors import DataError


@pytest.mark.parametrize(
    ("line", "width", "texts"),
    [
        ("a good film", None, ("a good film",)),
        ("a\tb\tc", None, ("a", "b\tc")),
        ("a\tb\tc", 2, ("a", "b\tc")),
        ("a\tb", 1, ("a\tb",)),
        ("a", 2, ("a",)),
        ("", None, ("",)),
        ('"a\\tb\\nc"', None, ("a\tb\nc",)),
        ('["a", "b"]', 1, ("a", "b")),
        ('["a\\ud83d"]', None, ("a\ufffd",)),
        ('"he said', None, ('"he said',)),  # what is no JSON of texts is a text
        ("[1, 2]", None, ("[1, 2]",)),
        ("[]", None, ("[]",)),
        ("[" * 100_000, None, ("[" * 100_000,)),
        ("a\udcff", None, ("a\ufffd",)),
    ],
)
def test_a_line_is_a_text_a_pair_or_json(line: str, width: int | None, texts: tuple[str, ...]) -> None:
    assert parse_text_line(line, width) == texts


def write(folder: Path, content: bytes) -> Path:
    path = folder / "texts.txt"
    path.write_bytes(content)
    return path


def test_blank_lines_are_skipped_and_line_ends_are_no_text(tmp_path: Path) -> None:
    content = '\ufeffa\u2028b\r\n\n \n"c\\n"\r\nd \x0c'.encode()
    assert read_texts(write(tmp_path, content)) == [("a\u2028b",), ("c\n",), ("d \x0c",)]


def test_a_file_of_pairs(tmp_path: Path) -> None:
    assert read_texts(write(tmp_path, b'a\tb\n["c", "d"]\n')) == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no text"),
        (b" \n\r\n", "holds no text"),
        (b"caf\xe9\n", "cannot read .*texts.txt: 'utf-8' codec can't decode byte 0xe9"),
        (b"a\n\nb\tc\n", "texts.txt, line 3: 2 texts; expected 1"),
        (b"a\tb\nc\n", "texts.txt, line 2: 1 texts; expected 2"),
        (b'["a", "b", "c"]\n', "texts.txt, line 1: 3 texts; expected 2"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_texts(write(tmp_path, content))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none: No such file or directory"):
        read_texts(tmp_path / "none")
