"""The command `finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FOLDER, data_options, out_options, required_data
from replank.cli.stage_result import show
from replank.data.config import DataConfig
from replank_compress.training.config import FinetuneConfig


@command("replank finetune bert-base-uncased predecessor --dataset sst2")
@click.argument("encoder")
@click.argument("out", type=FOLDER)
@config_options(FinetuneConfig)
@data_options
@out_options
def finetune(encoder: str, out: Path, data: DataConfig | None, force: bool, as_json: bool, **settings: Any) -> None:
    """Make a predecessor: fine-tune ENCODER (hub name or folder) on a task, into the folder OUT.

    Interrupted, the same command resumes from the last checkpoint, kept in OUT.work.
    """
    from replank import api

    config = config_of(FinetuneConfig, settings)
    show(api.finetune(encoder, out, config, data=required_data(data), force=force), as_json)
