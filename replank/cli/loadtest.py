"""The command `loadtest`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FILE, FOLDER, console, json_option, option, print_json
from replank.data.text_lines import read_texts
from replank.system.units import milliseconds
from replank_serve.loadtest.config import LoadtestConfig


@command("replank loadtest http://localhost:8080 --limit 50ms")
@click.argument("target", metavar="MODEL_OR_URL")
@click.argument("out", type=FOLDER, required=False)
@option("--limit", "limit_ms", required=True, help="Limit on the 99th percentile of latency, with its unit: 50ms.")
@option("--texts", type=FILE, help="A text a line; a pair has a tab between, or is JSON. [default: 5, 18 and 50 words]")
@config_options(LoadtestConfig)
@option("--force", is_flag=True, help="Replace the result that lies in OUT.")
@json_option
def loadtest(
    target: str, out: Path | None, limit_ms: str, texts: Path | None, force: bool, as_json: bool, **settings: Any
) -> None:
    """Put load on a model, in process, or on a server behind a URL, as MLPerf does.

    SingleStream, Offline, and Server: requests arrive at random, at the highest rate at which 99 of 100 are answered
    within --limit. OUT, if given, gets loadtest.json, after each run, and loadtest.svg. Exit code 3 if no rate holds
    the limit.
    """
    from replank import api
    from replank_serve.loadtest.files import CHART, RESULT
    from replank_serve.loadtest.table import render

    given = {"target": target, "limit_ms": milliseconds(limit_ms, "limit_ms")}
    given["texts"] = tuple(read_texts(texts)) if texts else None
    result = api.loadtest(config_of(LoadtestConfig, settings | given), out, force=force)
    if as_json:
        print_json(result.to_json())
    else:
        console().print(render(result))
        if out is not None:
            click.echo(f"{out / RESULT}, {out / CHART}")
