"""What the README says is so: its commands exist, its numbers are those of the results."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

import replank
from replank.cli.main import cli, command_named

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.+)$", README, flags=re.MULTILINE)


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("replank ")])
def test_every_command_of_the_readme_is_understood(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    command = command_named(name)
    assert command.make_context(name, arguments, parent=click.Context(cli)).params


def test_the_python_of_the_readme_names_what_exists() -> None:
    (code,) = re.findall(r"```python\n(.+?)```", README, flags=re.DOTALL)
    compile(code, "README.md", "exec")
    for name in set(re.findall(r"replank\.(\w+)", code)):
        assert name in replank.__all__


def test_every_target_of_make_in_the_readme_exists() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    asked = {line.split()[1] for line in COMMANDS if line.startswith("make ")}
    assert asked == {"demo", "test"}
    assert asked <= set(targets)


def test_the_numbers_are_those_of_the_results() -> None:
    check = [sys.executable, str(ROOT / "benchmarks" / "readme.py"), "--check"]
    assert subprocess.run(check, check=False).returncode == 0, "run: python benchmarks/readme.py"


def test_the_changelog_begins_with_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changelog, flags=re.MULTILINE)[0] == project["version"]
