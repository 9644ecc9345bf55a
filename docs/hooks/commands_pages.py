"""Pages of the commands, made of the commands themselves when the site is built: they cannot be out of date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from replank.cli.main import SECTIONS, cli, command_named
from replank.cli.variables import variable_of

_NAV = "Commands"
_FOLDER = "commands"
_OWN = "Options"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the commands into the navigation, under the headings that they have in ``replank --help``."""
    entries = next(entry[_NAV] for entry in config.nav or () if _NAV in entry)
    entries.extend({heading: [{name: page_of(name)} for name in names]} for heading, names in SECTIONS.items())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each command, and one of all."""
    files.append(File.generated(config, f"{_FOLDER}/index.md", content=overview()))
    for names in SECTIONS.values():
        for name in names:
            files.append(File.generated(config, page_of(name), content=page(name)))
    return files


def page_of(name: str) -> str:
    """The place of a command's page among the sources of the site."""
    return f"{_FOLDER}/{name}.md"


def overview() -> str:
    """All commands, in Markdown, as ``replank --help`` lists them."""
    lines = ["# Commands", "", _prose(cli.help or ""), ""]
    for heading, names in SECTIONS.items():
        lines += [f"## {heading}", "", "| command | what it does |", "|---|---|"]
        lines += [f"| [`{name}`]({name}.md) | {_escaped(summary)} |" for name, summary in names.items()]
        lines.append("")
    return "\n".join(lines)


def page(name: str) -> str:
    """The help of one command, in Markdown."""
    command = command_named(name)
    parent = click.Context(cli, info_name="replank", **cli.context_settings)
    context = click.Context(command, parent=parent, info_name=name)
    usage = command.get_usage(context).removeprefix("Usage: ")
    example = re.sub(r"\s*\n\s*", "\n", (command.epilog or "").replace("\b", "")).strip().partition("\n")[2]
    parts = [f"# replank {name}", _prose(command.help or "")]
    parts += [f"```text\n{_line(usage)}\n```", f"Example:\n\n```console\n$ {example}\n```"]
    for heading, options in _options(command, context).items():
        parts += [f"## {heading}", "\n\n".join(options)]
    return "\n\n".join(parts) + "\n"


def _options(command: click.Command, context: click.Context) -> dict[str, list[str]]:
    """Each option as an entry of a definition list, by its heading; the command's own options come first."""
    sections: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        if not isinstance(parameter, click.Option) or (record := parameter.get_help_record(context)) is None:
            continue
        flags, text = record
        variable = variable_of(parameter, context) if parameter.name != "help" else None
        told = " ".join(filter(None, (_escaped(text), variable and f"*Variable:* `{variable}`")))
        entry = f"`{flags}`\n:   {_line(told)}"
        sections.setdefault(getattr(parameter, "heading", _OWN), []).append(entry)
    return {heading: sections[heading] for heading in sorted(sections, key=lambda heading: heading != _OWN)}


def _line(text: str) -> str:
    return " ".join(text.split())


def _prose(text: str) -> str:
    return _escaped(cleandoc(text).replace("\b\n", ""))


def _escaped(text: str) -> str:
    """Text with the characters that mean something to Markdown escaped, but not in code."""
    return "".join(_escaped_parts(text))


def _escaped_parts(text: str) -> Iterator[str]:
    for index, part in enumerate(text.split("`")):
        yield f"`{part}`" if index % 2 else re.sub(r"([*_\[\]|])", r"\\\1", part).replace("<", "&lt;")
