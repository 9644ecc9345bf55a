"""The command `compress`: one stage, several methods, each with settings of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import variant_of, variant_options
from replank.cli.options import FOLDER, data_options, out_options
from replank.cli.stage_result import show
from replank.data.config import DataConfig
from replank_compress.methods import METHODS


@command("replank compress predecessor successor --layers 6 --dataset sst2")
@click.argument("predecessor")
@click.argument("out", type=FOLDER)
@variant_options("method", METHODS, "theseus", "How the successor is trained")
@data_options
@out_options
def compress(
    predecessor: str, out: Path, method: str, data: DataConfig | None, force: bool, as_json: bool, **settings: Any
) -> None:
    """Make a successor: replace the layers of PREDECESSOR, a fine-tuned model, by fewer, into the folder OUT.

    A model that was made for a data set of GLUE's needs no data option.

    Interrupted, the same command resumes from the last checkpoint, kept in OUT.work.
    """
    from replank import api

    config = variant_of("method", METHODS, method, settings)
    show(api.compress(predecessor, out, config, data=data, force=force), as_json)
