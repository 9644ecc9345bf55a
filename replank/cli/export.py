"""The command `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FOLDER, data_options, out_options
from replank.cli.stage_result import show
from replank.data.config import DataConfig
from replank_export.convert import ExportConfig


@command("replank export successor onnx --dataset sst2")
@click.argument("model")
@click.argument("out", type=FOLDER)
@config_options(ExportConfig)
@data_options
@out_options
def export(model: str, out: Path, data: DataConfig | None, force: bool, as_json: bool, **settings: Any) -> None:
    """Make an ONNX model: trace MODEL, fuse its attention, compare with torch under every padding, into OUT.

    With the task's data, real texts are compared too and the quality is measured.
    """
    from replank import api

    show(api.export(model, out, config_of(ExportConfig, settings), data=data, force=force), as_json)
