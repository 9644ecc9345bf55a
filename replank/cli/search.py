"""The command `search`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from replank.chain.budget import Budget
from replank.chain.search_plan import SearchConfig
from replank.chain.search_result import SearchResult
from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FOLDER, console, data_options, json_option, option, print_json
from replank.data.config import DataConfig
from replank.system.units import milliseconds, per_second, size_in_bytes

_HEADING = "Budget"


class _Shape(click.ParamType[tuple[int, int]]):
    name = "texts x tokens"

    def convert(self, value: Any, param: Any, context: Any) -> tuple[int, int]:
        batch_size, mark, length = str(value).partition("x")
        if not (mark and batch_size.isdecimal() and length.isdecimal() and int(batch_size) and int(length)):
            self.fail(f"{value!r} is no shape; expected texts x tokens, such as 1x128", param, context)
        return int(batch_size), int(length)


@command(
    "replank search predecessor OUT --dataset sst2 --max-latency 5ms --at 1x128 --min-retention 0.98", goes_on=True
)
@click.argument("predecessor")
@click.argument("out", type=FOLDER)
@option("--max-latency", "max_latency_ms", help="Median latency of a batch, with its unit: 5ms.", heading=_HEADING)
@option("--max-bytes", help="Size of the model's file, with its unit: 50MB.", heading=_HEADING)
@option("--min-throughput", help="Texts per second, batch after batch, with its unit: 200/s.", heading=_HEADING)
@option("--at", "shape", type=_Shape(), default="1x128", help="Texts x tokens that times are of.", heading=_HEADING)
@option("--min-retention", type=float, help="Fraction of the predecessor's metric to keep: 0.98.", heading=_HEADING)
@config_options(SearchConfig)
@data_options
@json_option
def search(
    predecessor: str,
    out: Path,
    max_latency_ms: str | None,
    max_bytes: str | None,
    min_throughput: str | None,
    shape: tuple[int, int],
    min_retention: float | None,
    data: DataConfig | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Find the model of the best quality within a budget: depths, fp32 and INT8, of PREDECESSOR, a fine-tuned model.

    Estimates and short runs come first; only what can win is trained in full. OUT gets search.json and the artifact
    winner. Run again, also with another budget, nothing is computed twice. Exit code 3 if no candidate meets it.
    """
    from replank import api
    from replank.chain.search import WINNER

    budget = Budget(
        max_latency_ms=milliseconds(max_latency_ms, "max_latency_ms") if max_latency_ms is not None else None,
        max_bytes=size_in_bytes(max_bytes, "max_bytes") if max_bytes is not None else None,
        min_throughput=per_second(min_throughput, "min_throughput") if min_throughput is not None else None,
        min_retention=min_retention,
        batch_size=shape[0],
        length=shape[1],
    )
    result = api.search(predecessor, out, budget, config_of(SearchConfig, settings), data=data)
    if as_json:
        print_json(result.to_json())
        return
    console().print(_table(result, budget))
    winner = result.winner.name if result.winner else "nothing"
    click.echo(f"{out / WINNER} is {winner}; no other beats these in both quality and time: {', '.join(result.front)}")


def _table(result: SearchResult, budget: Budget) -> Table:
    headline = result.task.headline
    table = Table(title=f"within {budget}", title_justify="left")
    for name in ("model", "dev", "kept", headline, f"ms at {budget.shape}", "MB", "why it has not won"):
        table.add_column(name, justify="left" if name in ("model", "why it has not won") else "right")
    for entry in result.candidates:
        cost = entry.measured or entry.estimate
        about = "" if entry.measured else "~"
        table.add_row(
            entry.name,
            "" if entry.dev is None else f"{entry.dev:.4f}",
            "" if cost.retention is None else f"{cost.retention:.1%}",
            f"{entry.quality[headline]:.4f}" if entry.quality else "",
            "" if cost.p50_ms is None else f"{about}{cost.p50_ms:.2f}",
            "" if cost.model_bytes is None else f"{about}{cost.model_bytes / 1e6:.1f}",
            "winner" if entry is result.winner else entry.why or "",
        )
    return table
