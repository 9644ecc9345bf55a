"""Options made from the settings of configurations, and messages in the words of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner

from replank.cli.command import command
from replank.cli.config_options import config_of, config_options, variant_of, variant_options
from replank.cli.rendering import in_flags
from replank.system.errors import FieldError, UsageError
from replank.system.settings import setting


@dataclass(frozen=True)
class Slow:
    """Rises slowly. More of it."""

    start: float = setting(0.3, "First value.")


@dataclass(frozen=True)
class Fast(Slow):
    """Rises fast."""

    start: float = setting(0.5, "First value.")


@dataclass(frozen=True)
class Config:
    """Every type of setting."""

    count: int | None = setting(None, "A number.")
    rate: float = setting(1e-4, "A rate.")
    mode: Literal["a", "b"] = setting("a", "A choice.")
    sizes: tuple[int, ...] | None = setting(None, "Sizes.")
    words: tuple[str, ...] = setting(("x",), "Words.", flag="word")
    labels: tuple[str, ...] | None = setting(None, "Names.", has_commas=True)
    is_on: bool = setting(True, "On by default.")
    is_off: bool = setting(False, "Off by default.")
    place: str | Path | None = setting(None, "A name or a folder.")
    rise: Slow = setting(default_factory=Slow, help="How it rises.", variants={"slow": Slow, "fast": Fast})
    inner: int = 7

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise FieldError("rate", self.rate, "more than 0", hint="`mode=b` takes smaller ones, `is_on=False` any")


@dataclass(frozen=True)
class Other:
    """Another way."""

    temperature: float = setting(2.0, "A temperature.")


def parsed(*arguments: str) -> Config:
    found: list[Config] = []

    @command("try --count 1")
    @config_options(Config)
    def try_(**values: Any) -> None:
        found.append(config_of(Config, values))

    done = CliRunner().invoke(try_, arguments, standalone_mode=False)
    if done.exception:
        raise done.exception
    return found[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", Config()),
        ("--count 3 --rate 0.5 --mode b", Config(count=3, rate=0.5, mode="b")),
        ("--sizes 1,2,3 --word y --word z", Config(sizes=(1, 2, 3), words=("y", "z"))),
        ("--labels -1,b", Config(labels=("-1", "b"))),
        ("--no-is-on --is-off", Config(is_on=False, is_off=True)),
        ("--place owner/name", Config(place="owner/name")),
        ("--place /", Config(place=Path("/"))),
        ("--rise fast", Config(rise=Fast())),
        ("--rise fast --start 0.7", Config(rise=Fast(0.7))),
        ("--start 0.7", Config(rise=Slow(0.7))),
    ],
)
def test_arguments_become_a_configuration(arguments: str, expected: Config) -> None:
    assert parsed(*arguments.split()) == expected


def test_names_may_stand_in_a_file(tmp_path: Path) -> None:
    """One a line, so that they may hold commas."""
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeffyes, sir\r\nno\r\n\r\n".encode())
    assert parsed("--labels", f"@{file}").labels == ("yes, sir", "no")
    with pytest.raises(click.BadParameter, match=r"cannot be read: .*No such file"):
        parsed("--labels", f"@{tmp_path}/none")


def test_an_error_speaks_in_flags() -> None:
    with pytest.raises(FieldError) as refusal:
        parsed("--rate", "0")
    assert refusal.value.message == "--rate is 0.0; expected more than 0"
    assert refusal.value.hint == "--mode b takes smaller ones, --no-is-on any"
    assert (refusal.value.field, refusal.value.value, refusal.value.expected) == ("rate", 0.0, "more than 0")


def test_what_is_no_setting_has_no_flag() -> None:
    with pytest.raises(click.NoSuchOption):
        parsed("--inner", "3")


def test_the_help_shows_defaults_and_whose_they_are() -> None:
    @command("try")
    @variant_options("way", {"config": Config, "other": Other}, "config", "Which way")
    def try_(**values: Any) -> None:
        raise AssertionError

    text = " ".join(CliRunner().invoke(try_, ["--help"]).output.split())
    assert "Which way. config: Every type of setting. other: Another way" in text
    assert "other: A temperature. [default: 2]" in text
    assert "config: A rate. [default: 0.0001]" in text
    assert "config: How it rises. [default: slow]" in text


def test_a_setting_of_another_variant_is_refused() -> None:
    variants = {"config": Config, "other": Other}
    assert variant_of("way", variants, "other", {"temperature": 3.0, "rate": None}) == Other(3.0)
    with pytest.raises(UsageError, match="`temperature` is a setting of `way=other`, not of config"):
        variant_of("way", variants, "config", {"temperature": 3.0})


def test_without_a_command_a_message_stays_as_it_is() -> None:
    assert in_flags("`rate` is 0", None) == "`rate` is 0"
