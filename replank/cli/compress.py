"""The command `compress`: one stage, several methods, each with settings of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import config_of, variant_of, variant_options
from replank.cli.options import FOLDER, data_values, out_options, with_texts_alone
from replank.cli.stage_result import show
from replank.data.config import DataConfig
from replank_compress.methods import METHODS


@command("replank compress predecessor successor --layers 6 --dataset sst2", goes_on=True)
@click.argument("predecessor")
@click.argument("out", type=FOLDER)
@variant_options("method", METHODS, "theseus", "How the successor is trained")
@data_values
@out_options
def compress(
    predecessor: str, out: Path, method: str, data: dict[str, Any], force: bool, as_json: bool, **settings: Any
) -> None:
    """Make a successor: replace the layers of PREDECESSOR, a fine-tuned model, by fewer, into the folder OUT.

    A model that was made for a data set of GLUE's needs no data option.

    Interrupted, the same command resumes from the last checkpoint, kept in OUT.work.
    """
    from replank import api

    data, settings = with_texts_alone(data, settings)
    config = variant_of("method", METHODS, method, settings)
    examples = config_of(DataConfig, data) if data else None
    show(api.compress(predecessor, out, config, data=examples, force=force), as_json)
