"""The command `compare`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from replank.cli.command import command
from replank.cli.config_options import config_options
from replank.cli.options import console, data_options, device_options, json_option, option, print_json, print_table
from replank.data.config import DataConfig
from replank.data.examples import SPLITS
from replank.resampling.resample import Resampling
from replank.system.errors import UsageError

if TYPE_CHECKING:
    from replank.resampling.compare import PairedComparison
    from replank.resampling.estimate import Kept


@command("replank compare replacing-1.json,replacing-2.json distilled-1.json,distilled-2.json")
@click.argument("a")
@click.argument("b")
@option("--predecessor", help="Also tell how much of its metrics is kept: one for all seeds, or one of each.")
@option(
    "--split",
    type=click.Choice([*SPLITS, "validation"]),
    help="The split that models answer. [default: test if it has labels, else dev]",
)
@config_options(Resampling)
@data_options
@device_options
@json_option
def compare(
    a: str,
    b: str,
    predecessor: str | None,
    split: str | None,
    data: DataConfig | None,
    device: Any,
    threads: int | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Tell which of A and B is better, and whether that is more than chance.

    Each is a model (folder or hub name) or a file of its answers (replank evaluate MODEL --answers FILE), or those of
    several seeds with commas between, in the same order in both. Artifacts keep the answers by which their quality was
    computed; models answer again where data is given. Seeds, if there are several, and rows are drawn again many times,
    the same for both; the interval holds 95 % of what comes out.
    """
    from replank import api

    given = {name: value for name, value in settings.items() if value is not None}
    found = api.compare(
        _seeds(a),
        _seeds(b),
        predecessor=_seeds(predecessor) if predecessor is not None else (),
        data=data,
        split=split,
        device=device,
        threads=threads,
        **given,
    )
    if as_json:
        print_json(_values(found))
        return
    _show(found)
    for caution in found.cautions:
        click.echo(caution, err=True)


def _seeds(given: str) -> list[str]:
    """What stands between commas; a name that exists as it stands is one.

    :raises UsageError: nothing stands there.
    """
    names = [given] if Path(given).exists() else given.split(",")
    if not all(names):
        raise UsageError(f"{given!r} names nothing beside a comma", hint="for example: seed-1.json,seed-2.json")
    return names


def _values(found: PairedComparison) -> dict[str, Any]:
    """The result, and for each metric what it says."""
    values = asdict(found)
    for name, metric in found.metrics.items():
        values["metrics"][name]["difference"]["excludes_zero"] = metric.difference.excludes_zero
        values["metrics"][name]["verdict"] = metric.verdict
    return values | {"cautions": found.cautions}


def _show(found: PairedComparison) -> None:
    seeds = "1 seed" if found.seeds == 1 else f"{found.seeds} seeds"
    models = [("A", ", ".join(found.a)), ("B", ", ".join(found.b)), ("predecessor", ", ".join(found.predecessor))]
    title = f"{found.rows} rows of {found.split} ({found.task}), {seeds}, {found.resamples} resamples"
    print_table(title, [row for row in models if row[1]])
    table = Table()
    for heading in ("metric", "A", "B", "difference (95 % interval)"):
        table.add_column(heading, justify="right" if heading in ("A", "B") else "left")
    for name, metric in found.metrics.items():
        table.add_row(name, f"{metric.a:.4f}", f"{metric.b:.4f}", metric.verdict)
    console().print(table)
    kept = [
        (f"{name}: {method} keeps", _kept(part))
        for name, metric in found.metrics.items()
        for method, part in (("A", metric.kept_a), ("B", metric.kept_b))
        if part
    ]
    if kept:
        print_table("Of the predecessor", kept)


def _kept(kept: Kept) -> str:
    return f"{kept.value:.1%} ({kept.low:.1%} to {kept.high:.1%}); with 95 % confidence at least {kept.lower_bound:.1%}"
