"""The command that gives a model away: push."""

from __future__ import annotations

from pathlib import Path

import click

from replank.cli.options import FOLDER, example, json_option, option, print_json
from replank.cli.rendering import Command


@click.command(
    cls=Command, short_help="Publish an artifact on the hub.", epilog=example("replank push int8 owner/name --private")
)
@click.argument("model", type=FOLDER)
@click.argument("name", metavar="OWNER/NAME")
@option("--private", is_flag=True, help="Make a private repository. [default: as the owner's settings have it]")
@option("--revision", help="Branch; made where there is none. [default: main]")
@json_option
def push(model: Path, name: str, private: bool, revision: str | None, as_json: bool) -> None:
    """Upload MODEL, an artifact with its model card and manifest, to the Hugging Face hub, in one commit.

    Every file is checked first. The token comes from `hf auth login` or HF_TOKEN. OWNER/NAME is then a model like any
    other: replank evaluate OWNER/NAME --task sst2.
    """
    from replank.models.push import push as upload

    address = upload(model, name, private=private, revision=revision)
    if as_json:
        print_json({"name": name, "commit": address})
    else:
        click.echo(address)


COMMANDS = (push,)
