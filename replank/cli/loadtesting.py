"""The command that finds out how much load a model or a server takes: loadtest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.options import (
    FILE,
    FOLDER,
    console,
    device_options,
    example,
    json_option,
    option,
    print_json,
)
from replank.cli.rendering import Command
from replank.data.text_lines import read_texts
from replank.system.errors import UsageError
from replank.system.extras import require
from replank.system.files import replace_file
from replank.system.json_files import write_json
from replank.system.progress import progress
from replank.system.units import milliseconds

_RESULT, _CHART = "loadtest.json", "loadtest.svg"


@click.command(
    cls=Command,
    short_help="The highest rate that holds a limit.",
    epilog=example("replank loadtest http://localhost:8080 --limit 50ms"),
)
@click.argument("model_or_url")
@click.argument("out", type=FOLDER, default=Path("loadtest"))
@option("--limit", required=True, help="What 99 of 100 answers must take at most, with its unit: 50ms.")
@option("--seconds", type=float, default=10.0, help="Least time of each run; there are about a dozen.")
@option("--texts", type=FILE, help="A text a line; a pair has a tab between, or is JSON. [default: 5, 18 and 50 words]")
@option("--seed", type=click.IntRange(0), default=0, help="Of arrivals and of the order of texts.")
@option("--force", is_flag=True, help="Replace the result that lies in OUT.")
@device_options
@json_option
def loadtest(
    model_or_url: str,
    out: Path,
    limit: str,
    texts: Path | None,
    force: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Put load on a model, in process, or on a server behind a URL, as MLPerf does.

    SingleStream, Offline, and Server: requests arrive at random, at the highest rate at which 99 of 100 are answered
    within --limit. OUT gets loadtest.json, after each run, and loadtest.svg. Exit code 3 if no rate holds the limit.
    """
    limit_ms = milliseconds(limit, "limit")
    if (out / _RESULT).exists() and not force:
        raise UsageError(f"{out} holds a result", hint="choose another OUT, or replace it with --force")
    require("mlcommons-loadgen")
    from replank_serve.loadtest.run import LoadtestConfig, units
    from replank_serve.loadtest.run import loadtest as put_load
    from replank_serve.loadtest.table import chart, render

    config = LoadtestConfig(model_or_url, limit_ms, texts=tuple(read_texts(texts)) if texts else None, **settings)

    def keep(result: dict[str, Any]) -> None:
        out.mkdir(parents=True, exist_ok=True)
        replace_file(out / _CHART, chart(result))
        write_json(out / _RESULT, result)

    with progress("loadtest", units()) as advance:
        result = put_load(config, keep, advance)
    if as_json:
        print_json(result)
    else:
        console().print(render(result))
        click.echo(f"{out / _RESULT}, {out / _CHART}")
