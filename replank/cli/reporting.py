"""The command that shows what was made: report."""

from __future__ import annotations

from pathlib import Path

import click

from replank.cli.options import FILE, FOLDER, example, option
from replank.cli.rendering import Command


@click.command(
    cls=Command,
    short_help="A page about a chain and its models.",
    epilog=example("replank report OUT"),
)
@click.argument("out", type=FOLDER)
@option("--benchmark", type=FILE, help="Output of replank benchmark --json. [default: OUT/benchmark.json, if any]")
def report(out: Path, benchmark: Path | None) -> None:
    """Write OUT/report.html and OUT/report.md about the artifacts in OUT, which `replank run` filled.

    Quality, size and speed side by side, how each model was made and verified, and how to repeat it. The page needs no
    other file, no script and no network.
    """
    from replank.report.write import write_report

    click.echo(write_report(out, benchmark))


COMMANDS = (report,)
