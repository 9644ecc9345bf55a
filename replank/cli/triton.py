"""The command `triton`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FOLDER, json_option, option, print_json, print_table
from replank_export.triton import TritonConfig, files_of


@command("replank triton int8 repository --name tweets")
@click.argument("model")
@click.argument("out", type=FOLDER)
@config_options(TritonConfig)
@option("--force", is_flag=True, help="Replace the model of that name in OUT.")
@json_option
def triton(model: str, out: Path, force: bool, as_json: bool, **settings: Any) -> None:
    """Put MODEL, an ONNX model, into OUT, a model repository of Triton's, beside the models that are there.

    Triton takes token ids: clients tokenize with MODEL's tokenizer.json, and pad to few lengths.
    """
    from replank import api

    folder = api.triton(model, out, config_of(TritonConfig, settings), force=force)
    if as_json:
        print_json({"folder": str(folder), "files": files_of(folder)})
        return
    print_table("triton", [("folder", str(folder)), ("files", ", ".join(files_of(folder)))])
