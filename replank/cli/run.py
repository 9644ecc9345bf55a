"""The command `run`, and how a chain's comparison is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from replank.chain.comparison import comparison_table
from replank.chain.plan import RunConfig
from replank.chain.run_file import RunRequest, read_run_file
from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FILE, FOLDER, console, data_values, json_option, option, print_json, with_texts_alone
from replank.data.config import DataConfig

if TYPE_CHECKING:
    from replank.benchmarking.summary import Summary
    from replank.tasks.task import Task


@command("replank run bert-base-uncased OUT --dataset sst2 --layers 6", goes_on=True)
@click.argument("encoder", required=False)
@click.argument("out", type=FOLDER, required=False)
@option(
    "--config",
    "file",
    type=FILE,
    help="YAML file with encoder, out, data and the settings below, such as the run.yaml that each run leaves in OUT. "
    "ENCODER, OUT and options win over it; a single argument is OUT.",
)
@config_options(RunConfig)
@data_values
@json_option
@click.pass_context
def run(
    context: click.Context,
    /,
    encoder: str | None,
    out: Path | None,
    file: Path | None,
    data: dict[str, Any],
    as_json: bool,
    **settings: Any,
) -> None:
    """Run the whole chain: ENCODER to predecessor, successor, onnx and int8, folders under OUT, and compare them.

    A model that is fine-tuned already is its own predecessor. Run again, finished stages are kept as they are. OUT gets
    a run.yaml: replank run --config OUT/run.yaml ELSEWHERE does the same again.
    """
    from replank import api

    if file is None:
        data, settings = with_texts_alone(data, settings)
        asked = RunRequest(
            _given(encoder, "encoder", context),
            _given(out, "out", context),
            config_of(RunConfig, settings),
            config_of(DataConfig, data) if data else None,
        )
    else:
        if out is None:
            encoder, out = None, None if encoder is None else Path(encoder)
        given = {name: value for name, value in settings.items() if value is not None}
        asked = read_run_file(file, encoder, out, given, data)
    show_chain(asked.out, api.run(asked.encoder, asked.out, asked.config, data=asked.data), as_json)


def _given(value: Any, name: str, context: click.Context) -> Any:
    """The value of an argument that is needed where there is no file."""
    if value is None:
        raise click.MissingParameter(ctx=context, param_type="argument", param_hint=f"'{name.upper()}'")
    return value


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
