"""The command `trim`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FILE, FOLDER, out_options
from replank.cli.stage_result import show
from replank_compress.trim import TrimConfig


@command("replank trim multilingual-e5-small trimmed --texts texts.txt")
@click.argument("encoder")
@click.argument("out", type=FOLDER)
@click.option(
    "--texts",
    type=FILE,
    required=True,
    help="File of texts, one a line, that the vocabulary is to serve.",
)
@config_options(TrimConfig)
@out_options
def trim(encoder: str, out: Path, texts: Path, force: bool, as_json: bool, **settings: Any) -> None:
    """Trim the vocabulary of ENCODER (hub name or folder) to what some texts need, into the folder OUT.

    Special tokens, single characters and bytes stay. Texts that need no dropped token are proved to get the same tokens
    and answers. It may come before or after compress.
    """
    from replank import api

    show(api.trim(encoder, out, config_of(TrimConfig, settings | {"texts": texts}), force=force), as_json)
