"""The command `pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FILE, FOLDER, data_options, option, out_options, required_data
from replank.cli.stage_result import show
from replank.data.config import DataConfig
from replank.system.errors import UsageError
from replank_compress.growing.config import PretrainConfig
from replank_compress.growing.schedule import parse_stage, read_schedule


@command(
    "replank pretrain config.json grown --tokenizer bert-base-uncased --train texts.jsonl --dev held-out.jsonl "
    "--stage steps=300,layers=3,pooling=2 --stage steps=400,layers=6 --stage steps=300",
    goes_on=True,
)
@click.argument("encoder")
@click.argument("out", type=FOLDER)
@option("--schedule", type=FILE, help="YAML file with the stages of growth: a list under the key stages.")
@option(
    "--stage",
    "stage",
    multiple=True,
    help="A stage of growth, such as steps=300,layers=3,width=768,pooling=2,learning_rate=1e-4; once for each. Further "
    "keys: length, warmup, decay (linear or constant). What is left out is the whole encoder's.",
)
@config_options(PretrainConfig, leave_out=("stages",))
@data_options
@out_options
def pretrain(
    encoder: str,
    out: Path,
    schedule: Path | None,
    stage: tuple[str, ...],
    data: DataConfig | None,
    force: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Pretrain an encoder by masked language modelling, from random weights, growing it on the way.

    ENCODER is a config.json, a folder with one, or a hub model, whose weights are not used. The texts are those of the
    data's text column, or the lines of .txt files (--train, --dev); labels are not read.

    Interrupted, the same command resumes from the last checkpoint, kept in OUT.work.
    """
    from replank import api

    if schedule is not None and stage:
        raise UsageError("`schedule` and `stage` exclude each other")
    stages = read_schedule(schedule) if schedule is not None else tuple(map(parse_stage, stage))
    config = config_of(PretrainConfig, settings | {"stages": stages})
    show(api.pretrain(encoder, out, config, data=required_data(data), force=force), as_json)
