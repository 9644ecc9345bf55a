"""The command `quickstart`."""

from __future__ import annotations

from pathlib import Path

import click

from replank.cli.command import command
from replank.cli.options import FOLDER, json_option
from replank.cli.run import show_chain


@command("replank quickstart demo", goes_on=True)
@click.argument("out", type=FOLDER, default=Path("demo"))
@json_option
def quickstart(out: Path, as_json: bool) -> None:
    """Run the whole chain on a real encoder and real texts from packages, offline, in minutes, into OUT (demo).

    Needs the demo extra. Interrupted, the same command goes on where it stopped.
    """
    from replank import api

    show_chain(out, api.quickstart(out), as_json)
