"""What README and docs say is so: commands are understood, Python names what exists, messages are in the source."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib

import click
import pytest

import replank
from documents import COMMAND_LINE, DOCS, PYTHON, ROOT, read, texts
from replank.cli.main import COMMANDS, cli, command_named

TEXTS = texts()
LINES = [(name, line) for name, text in TEXTS.items() for line in COMMAND_LINE.findall(text)]
OURS = [(name, line) for name, line in LINES if re.search(r"(^|\s)replank [a-z]", line)]
OTHERS = [(name, line) for name, line in LINES if (name, line) not in OURS]
# Programs of other people, whose command lines are not ours to know.
PROGRAMS = {"curl", "docker", "export", "helm", "hf", "kubectl", "make", "pip", "python", "python3", "tensorboard"}


@pytest.mark.parametrize(("name", "line"), OURS)
def test_every_command_line_is_understood(name: str, line: str) -> None:
    arguments = shlex.split(line)
    command, *rest = arguments[arguments.index("replank") + 1 :]
    assert command_named(command).make_context(command, rest, parent=click.Context(cli)).params, name


@pytest.mark.parametrize(("name", "line"), OTHERS)
def test_every_other_command_line_names_what_exists(name: str, line: str) -> None:
    program, *arguments = shlex.split(line)
    assert program in PROGRAMS, name
    targets = re.findall(r"^(\w+):", read(ROOT / "Makefile"), re.MULTILINE)
    if program == "make":
        assert arguments[0] in targets
    for argument in arguments:
        if argument.startswith(("deploy/", "benchmarks/")) or argument == "constraints.txt":
            assert (ROOT / argument).exists()


def test_every_command_is_shown_somewhere() -> None:
    shown = {shlex.split(line)[shlex.split(line).index("replank") + 1] for _, line in OURS}
    assert set(COMMANDS) - shown == {"quickstart"}


@pytest.mark.parametrize("name", TEXTS)
def test_every_extra_exists(name: str) -> None:
    extras = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]
    for named in re.findall(r"(?:replank|\.)\[([a-z,]+)\]", TEXTS[name]):
        assert set(named.split(",")) <= set(extras)


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if PYTHON.search(text)])
def test_python_names_what_exists(name: str) -> None:
    for code in PYTHON.findall(TEXTS[name]):
        tree = ast.parse(code)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "replank":
                assert node.attr in replank.__all__


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_out_of_the_site_lead_somewhere(name: str) -> None:
    """Links within the site are checked when it is built, which `make docs` does strictly."""
    for target in re.findall(r"\]\(([^)#]+)", TEXTS[name]):
        if not target.startswith("https://"):
            assert (ROOT / target).exists(), target


def test_every_public_name_is_in_the_reference() -> None:
    pages = "\n".join(read(path) for path in (DOCS / "api").glob("*.md"))
    named = re.findall(r"^::: replank\.(\w+)$", pages, re.MULTILINE)
    assert sorted(named) == sorted(set(replank.__all__) - {"__version__"})


def constants() -> list[str]:
    """The texts of all source files; of formatted ones the parts, with `…` for what is filled in."""
    found = []
    for package in ("replank", "compress", "export", "serve"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(read(path))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    parts = (str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                    found.append("".join(parts))
    return found


def test_every_message_of_troubleshooting_is_in_the_source() -> None:
    messages = re.findall(r"^### `+ ?(.+?)`+$", TEXTS["docs/troubleshooting.md"], re.MULTILINE)
    known = constants()
    assert len(messages) > 30
    unknown = []
    for message in messages:
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in message.split("…")), re.DOTALL)
        if not any(pattern.search(text) for text in known):
            unknown.append(message)
    assert unknown == []
