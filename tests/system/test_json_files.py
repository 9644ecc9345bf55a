"""JSON files: read or refused by name, and replaced as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from replank.system.errors import ModelError
from replank.system.json_files import read_json, write_json


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot read"),
        (b'{"a": ', "cannot read"),
        (b'{"a": "\xe9"}', "cannot read"),
        (b"[" * 100_000, "cannot read"),
        (b"[1]", "is not a JSON object"),
    ],
)
def test_broken_json_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=message) as refusal:
        read_json(tmp_path / "config.json", optional=True)
    assert f"{tmp_path}/config.json" in refusal.value.message


def test_missing_json_is_named_or_empty(tmp_path: Path) -> None:
    assert read_json(tmp_path / "config.json", optional=True) == {}
    with pytest.raises(ModelError, match=rf"{tmp_path} has no config\.json"):
        read_json(tmp_path / "config.json")


def test_values_are_written_into_folders_that_were_not_there(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b.json", {"é": [1, None]})
    write_json(tmp_path / "a" / "b.json", {"é": [2, None]})
    assert read_json(tmp_path / "a" / "b.json") == {"é": [2, None]}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]
