"""The command `doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table

from replank.cli.command import command
from replank.cli.options import console, json_option, print_json


@command("replank doctor")
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Look at everything that goes wrong in silence. Exit code 1 if something is an error."""
    from replank import api

    found = api.doctor()
    if as_json:
        print_json([asdict(check) for check in found])
    else:
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        for check in found:
            table.add_row(check.status, check.name, check.detail + (f"\nhint: {check.hint}" if check.hint else ""))
        console().print(table)
    context.exit(1 if any(check.status == "error" for check in found) else 0)
