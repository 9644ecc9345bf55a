"""Pages of the commands hold their whole help."""

from __future__ import annotations

import click
import pytest
from mkdocs.config import load_config

import commands_pages
from documents import ROOT
from replank.cli.main import COMMANDS, cli, command_named


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_every_option_and_its_help(name: str) -> None:
    command = command_named(name)
    context = click.Context(command, parent=click.Context(cli, info_name="replank"), info_name=name)
    page = commands_pages.page(name)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record:
            assert f"`{record[0]}`\n:   " in page
    (example,) = [line.strip() for line in (command.epilog or "").splitlines() if line.strip().startswith("replank")]
    assert f"$ {example}" in page


def test_options_of_a_page_stand_under_the_headings_of_the_help() -> None:
    page = commands_pages.page("search")
    options, budget = page.index("## Options"), page.index("## Budget")
    assert options < page.index("`--epochs FLOAT`") < budget < page.index("`--max-latency TEXT`")


def test_an_option_tells_its_variable_and_text_is_only_text() -> None:
    page = commands_pages.page("serve")
    assert "*Variable:* `REPLANK_SERVE_CORS_ORIGIN`" in page
    assert r"repeatable; \* is all." in page


def test_the_site_lists_all_commands() -> None:
    config = load_config(str(ROOT / "mkdocs.yml"))
    commands_pages.on_config(config)
    (entries,) = [entry["Commands"] for entry in config.nav or () if "Commands" in entry]
    listed = [name for group in entries[1:] for pages in group.values() for page in pages for name in page]
    assert listed == list(COMMANDS)
    assert all(f"| [`{name}`]({name}.md) |" in commands_pages.overview() for name in COMMANDS)
