"""The command `triton`: an ONNX model for the Triton Inference Server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.options import FOLDER, example, json_option, option, print_json, print_table, threads_option
from replank.cli.rendering import Command
from replank.models.source import open_source
from replank.runtime.providers import BUILT_IN


@click.command(
    cls=Command,
    short_help="ONNX model to a Triton model repository.",
    epilog=example("replank triton int8 repository --name tweets"),
)
@click.argument("model")
@click.argument("out", type=FOLDER)
@option("--name", help="What clients ask for. [default: the name of MODEL's folder]")
@option("--device", type=click.Choice(BUILT_IN), default="cpu", help="Where Triton runs it.")
@threads_option
@option("--max-batch", type=int, default=16, help="Requests of the same length that run together.")
@option("--max-queue", type=int, default=512, help="Requests that may wait; Triton refuses those beyond.")
@option("--timeout-seconds", type=float, default=30.0, help="That a request may wait before it is refused.")
@option("--force", is_flag=True, help="Replace the model of that name in OUT.")
@json_option
def triton(model: str, out: Path, force: bool, as_json: bool, **settings: Any) -> None:
    """Put MODEL, an ONNX model, into OUT, a model repository of Triton's, beside the models that are there.

    Triton takes token ids: clients tokenize with MODEL's tokenizer.json, and pad to few lengths.
    """
    source = open_source(model)
    from replank_export.triton import TritonConfig, files_of, write_repository

    folder = write_repository(source, out, TritonConfig(**settings), force=force)
    if as_json:
        print_json({"folder": str(folder), "files": files_of(folder)})
        return
    print_table("triton", [("folder", str(folder)), ("files", ", ".join(files_of(folder)))])
