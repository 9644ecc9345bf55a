"""The command `report`."""

from __future__ import annotations

from pathlib import Path

import click

from replank.cli.command import command
from replank.cli.options import FILE, FOLDER, option


@command("replank report OUT")
@click.argument("out", type=FOLDER)
@option("--benchmark", type=FILE, help="Output of replank benchmark --json. [default: OUT/benchmark.json, if any]")
def report(out: Path, benchmark: Path | None) -> None:
    """Write OUT/report.html and OUT/report.md about the artifacts in OUT, which `replank run` filled.

    Quality, size and speed side by side, how each model was made and verified, and how to repeat it. The page needs no
    other file, no script and no network.
    """
    from replank import api

    click.echo(api.report(out, benchmark))
