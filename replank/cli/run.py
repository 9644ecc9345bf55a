"""The command `run`, and how a chain's comparison is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from replank.chain.comparison import comparison_table
from replank.chain.plan import RunConfig
from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FOLDER, console, data_options, json_option, print_json
from replank.data.config import DataConfig

if TYPE_CHECKING:
    from replank.benchmarking.summary import Summary
    from replank.tasks.task import Task


@command("replank run bert-base-uncased OUT --dataset sst2 --layers 6")
@click.argument("encoder")
@click.argument("out", type=FOLDER)
@config_options(RunConfig)
@data_options
@json_option
def run(encoder: str, out: Path, data: DataConfig | None, as_json: bool, **settings: Any) -> None:
    """Run the whole chain: ENCODER to predecessor, successor, onnx and int8, folders under OUT, and compare them.

    A model that is fine-tuned already is its own predecessor. Run again, finished stages are kept as they are.
    """
    from replank import api

    show_chain(out, api.run(encoder, out, config_of(RunConfig, settings), data=data), as_json)


def show_chain(out: Path, summary: Summary, as_json: bool) -> None:
    """Print a chain's comparison, and what to do next."""
    if as_json:
        print_json(summary.to_json())
        return
    console().print(comparison_table(summary))
    predicted, served = _next_arguments(summary.task)
    click.echo(f"next:\n  replank predict {out / 'int8'} {predicted}\n  replank serve {out / 'int8'}{served}")


def _next_arguments(task: Task) -> tuple[str, str]:
    """What predict and serve take behind the model's folder."""
    if task.reasoning is not None:
        return '--graph FOLDER "a head" "a relation" "?"', " --graph FOLDER"
    if task.is_ranked:
        return '--query "a query" "a passage" "another passage"', ""
    return '"first text" "second text"' if task.is_pair else '"a text of yours"', ""
