"""The command `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.options import (
    FILE,
    data_options,
    device_options,
    file_option,
    json_option,
    option,
    print_json,
    print_table,
)
from replank.data.config import DataConfig
from replank.data.examples import SPLITS
from replank.system.typed_json import json_values


@command("replank evaluate int8 --dataset sst2 --split dev")
@click.argument("model")
@option("--split", type=click.Choice([*SPLITS, "validation"]), default="dev", help="The split to score.")
@option("--predecessor", help="The model whose answers stand for labels where neither dev nor test has some.")
@option("--answers", type=FILE, help="A new JSON file for the answer to each row, which replank compare takes.")
@option("--force", is_flag=True, help="Replace a file of --answers.")
@data_options
@file_option
@device_options
@json_option
def evaluate(
    model: str,
    file: str | None,
    split: str,
    predecessor: str | None,
    answers: Path | None,
    force: bool,
    data: DataConfig | None,
    device: Any,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score MODEL (torch or ONNX: folder or hub name) on a task's data.

    A model that was made for a data set of GLUE's needs no data option.
    """
    from replank import api

    quality = api.evaluate(
        api.open_model(model, file),
        data=data,
        split=split,
        predecessor=predecessor,
        device=device,
        threads=threads,
        answers=answers,
        force=force,
    )
    if as_json:
        print_json({"model": model} | json_values(quality))
    else:
        metrics = [(name, f"{value:.4f}") for name, value in quality.metrics.items()]
        print_table(f"{model} on {split}, {quality.rows} rows", metrics)
        for caution in quality.cautions:
            click.echo(caution, err=True)
