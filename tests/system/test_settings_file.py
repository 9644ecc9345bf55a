"""Files of settings: each value as its setting takes it, and errors that name line and key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import pytest

from replank.system.errors import FieldError, UsageError
from replank.system.settings_file import read_settings_file, values_of_file

NAMES = ("count", "rate", "name", "is_on", "mode", "names", "place", "model")


def read(folder: Path, text: str, hint: Any, name: str = "settings.yaml") -> Any:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    (entry,) = read_settings_file(file).entries(NAMES).values()
    return entry.read(hint)


@pytest.mark.parametrize(
    ("text", "hint", "expected"),
    [
        ("count: 3", int, 3),
        ("count: -3", int | None, -3),
        ("count:", int | None, None),
        ("count: ~", int | None, None),
        # A text and texts to YAML 1.1.
        ("rate: 1e-4", float, 1e-4),
        ("rate: 5", float, 5.0),
        # Booleans, numbers and nothing to YAML.
        ("name: no", str, "no"),
        ("name: 2024-01-02", str | None, "2024-01-02"),
        ("name: '~'", str | None, "~"),
        ("names: [yes, no, 1, 'null']", tuple[str, ...] | None, ("yes", "no", "1", "null")),
        ("names: [1, 2]", tuple[int, ...], (1, 2)),
        ("is_on: true", bool, True),
        ("is_on: False", bool, False),
        ("mode: b", Literal["a", "b"] | None, "b"),
        ("mode: 2", Literal[1, 2], 2),
    ],
)
def test_a_value_is_what_its_setting_takes(tmp_path: Path, text: str, hint: Any, expected: object) -> None:
    value = read(tmp_path, text, hint)
    assert (value, type(value)) == (expected, type(expected))


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert read(tmp_path, "place: texts.txt", Path | None) == tmp_path / "texts.txt"
    assert read(tmp_path, "place: /texts.txt", str | os.PathLike[str] | None) == Path("/texts.txt")
    assert read(tmp_path, "model: here", str | Path) == tmp_path / "here"
    assert read(tmp_path, "model: owner/name", str | Path) == "owner/name"


def test_json_is_read_too(tmp_path: Path) -> None:
    assert read(tmp_path, '{\n\t"names":\t["a", "b"]\n}', tuple[str, ...], "settings.json") == ("a", "b")


@pytest.mark.parametrize(
    ("text", "hint", "message"),
    [
        ("# why\ncount: six", int, "line 2: count is six; expected an integer"),
        ("count: 6.5", int, "line 1: count is 6.5; expected an integer"),
        ("count: [6]", int, "line 1: count is a list; expected an integer"),
        ("count:", int, "line 1: count is empty; expected an integer"),
        ("rate: nan", float, "line 1: rate is nan; expected a number"),
        ("is_on: yes", bool, "line 1: is_on is yes; expected true or false"),
        ("mode: c", Literal["a", "b"], "line 1: mode is c; expected one of a, b"),
        ("names: a, b", tuple[str, ...], "line 1: names is a, b; expected a list"),
        ("names:\n  - 1\n  - x", tuple[int, ...], r"line 3: names\[1\] is x; expected an integer"),
        ("place: {a: b}", Path, "line 1: place is an object; expected a path"),
        ("count: 1\ncount: 2", int, "line 2: count stands in line 1 already"),
        ("- count", int, "line 1: the file is a list; expected names with values"),
        ("count: 1\n- 2", int, "line 2: expected <block end>"),
        ("count: 'a", int, "line 1: found unexpected end of stream"),
        ("count: 1\n---\ncount: 2", int, "line 2: but found another document"),
        ("", int, "is empty"),
        ("# nothing", int, "is empty"),
    ],
)
def test_an_error_names_line_and_key(tmp_path: Path, text: str, hint: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"settings.yaml.*{message}"):
        read(tmp_path, text, hint)


def test_an_unknown_key_brings_the_nearest_to_mind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"line 1: cuont is no setting") as refusal:
        read(tmp_path, "cuont: 1", int)
    assert refusal.value.hint == "did you mean count?"
    with pytest.raises(UsageError, match=r"line 1: xyz is no setting") as refusal:
        read(tmp_path, "xyz: 1", int)
    assert refusal.value.hint == f"expected {', '.join(NAMES)}"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*none.yaml"):
        read_settings_file(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\x00")
    with pytest.raises(UsageError, match=r"cannot read .*binary.yaml"):
        read_settings_file(tmp_path / "binary.yaml")


def test_what_a_configuration_refuses_is_found_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("name: a\ncount: 0\n", encoding="utf-8")
    entries = read_settings_file(file).entries(NAMES)
    with (
        pytest.raises(UsageError, match=r"settings.yaml, line 2: count is 0; expected 1 or more") as refusal,
        values_of_file(file, entries),
    ):
        raise FieldError("count", 0, "1 or more", hint="`rate` too")
    assert refusal.value.hint == "`rate` too"
    with pytest.raises(FieldError, match="`rate` is 0"), values_of_file(file, entries):
        raise FieldError("rate", 0, "more")
    with pytest.raises(UsageError, match=r"settings.yaml: `count` needs `name`"), values_of_file(file, entries):
        raise UsageError("`count` needs `name`")
