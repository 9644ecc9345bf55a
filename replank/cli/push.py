"""The command `push`."""

from __future__ import annotations

from pathlib import Path

import click

from replank.cli.command import command
from replank.cli.options import FOLDER, json_option, option, print_json


@command("replank push int8 owner/name --private")
@click.argument("model", type=FOLDER)
@click.argument("name", metavar="OWNER/NAME")
@option("--private", is_flag=True, help="Make a private repository. [default: as the owner's settings have it]")
@option("--revision", help="Branch; made where there is none. [default: main]")
@json_option
def push(model: Path, name: str, private: bool, revision: str | None, as_json: bool) -> None:
    """Upload MODEL, an artifact with its model card and manifest, to the Hugging Face hub, in one commit.

    Every file is checked first. The token comes from `hf auth login` or HF_TOKEN. OWNER/NAME is then a model like any
    other: replank evaluate OWNER/NAME --dataset sst2.
    """
    from replank import api

    address = api.push_to_hub(model, name, private=private, revision=revision)
    if as_json:
        print_json({"name": name, "commit": address})
    else:
        click.echo(address)
