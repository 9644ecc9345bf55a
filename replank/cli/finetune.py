"""The command `finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import switch_options, variant_of
from replank.cli.options import FOLDER, data_options, out_options, required_data
from replank.cli.stage_result import show
from replank.data.config import DataConfig
from replank_compress.integer.config import IntegerFinetuneConfig
from replank_compress.training.config import FinetuneConfig

_CONFIGS = {"float": FinetuneConfig, "integer": IntegerFinetuneConfig}


@command("replank finetune bert-base-uncased predecessor --dataset sst2", goes_on=True)
@click.argument("encoder")
@click.argument("out", type=FOLDER)
@switch_options(
    "integer",
    _CONFIGS,
    "Train a fine-tuned model on, its encoder in integers, for `replank quantize --scheme integer`.",
)
@data_options
@out_options
def finetune(
    encoder: str, out: Path, integer: str, data: DataConfig | None, force: bool, as_json: bool, **settings: Any
) -> None:
    """Make a predecessor: fine-tune ENCODER (hub name or folder) on a task, into the folder OUT.

    With --integer, ENCODER is a model that is fine-tuned already, and learns to give its answers in integers.

    Interrupted, the same command resumes from the last checkpoint, kept in OUT.work.
    """
    from replank import api

    config = variant_of("integer", _CONFIGS, integer, settings)
    show(api.finetune(encoder, out, config, data=required_data(data), force=force), as_json)
