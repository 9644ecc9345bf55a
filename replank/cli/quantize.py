"""The command `quantize`: one stage, several schemes, each with settings of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import variant_of, variant_options
from replank.cli.options import FOLDER, data_options, file_option, out_options
from replank.cli.stage_result import show
from replank.data.config import DataConfig
from replank_export.schemes import SCHEMES


@command("replank quantize onnx int8 --dataset sst2 --scheme auto")
@click.argument("model")
@click.argument("out", type=FOLDER)
@variant_options("scheme", SCHEMES, "dynamic", "How activations are scaled")
@data_options
@file_option
@out_options
def quantize(
    model: str,
    out: Path,
    scheme: str,
    data: DataConfig | None,
    file: str | None,
    force: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Make an INT8 model: quantize MODEL, an ONNX model, and measure what it costs and brings, into OUT.

    The scheme integer takes a torch model, such as finetune and compress make.

    With the task's data the loss is measured; above --max-drop nothing is written and the exit code is 3.
    """
    from replank import api

    config = variant_of("scheme", SCHEMES, scheme, settings)
    show(api.quantize(api.open_model(model, file), out, config, data=data, force=force), as_json)
