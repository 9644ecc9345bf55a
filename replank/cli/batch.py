"""The command `batch`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from replank.batch.job import BatchConfig
from replank.batch.run import Here, Runner
from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FILE, device_options, json_option, option, print_json, print_table


@command("replank batch int8 texts.jsonl answers.csv", goes_on=True)
@click.argument("model")
@click.argument("file", type=FILE)
@click.argument("out", type=FILE)
@config_options(BatchConfig)
@option(
    "--ray", is_flag=True, help="On Ray Data: a worker for each --threads cores of the cluster. [default threads: 1]"
)
@option("--force", is_flag=True, help="Replace OUT, and forget what another run left beside it.")
@device_options
@json_option
def batch(
    model: str,
    file: Path,
    out: Path,
    ray: bool,
    force: bool,
    device: Any,
    threads: int | None,
    as_json: bool,
    **columns: Any,
) -> None:
    """Answer each row of FILE (.csv, .tsv, .jsonl, .parquet) into OUT (.csv, .jsonl, .parquet), in the same order.

    Texts of like length run together. Killed at any moment, the same command goes on where it was: finished parts lie
    in OUT.work until OUT is whole. With --ray, all machines must see MODEL, FILE and OUT under the same names.

    Of a model that labels words, a row holds lists of words and of entities: as JSON in .csv and .parquet.
    """
    from replank import api

    runner: Runner = Here(device, threads)
    if ray:
        from replank.batch.ray import OnRay

        runner = OnRay(device, threads or 1)
    config = config_of(BatchConfig, columns)
    summary = api.predict_file(model, file, out, config, runner=runner, force=force)
    if as_json:
        print_json({"out": str(out)} | asdict(summary))
        return
    print_table("batch", [("file", str(out)), ("rows", str(summary.rows)), ("resumed", str(summary.resumed_rows))])
