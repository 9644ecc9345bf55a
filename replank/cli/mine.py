"""The command `mine`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FOLDER, out_options, print_json, print_table
from replank.graphs.config import MiningConfig


@command("replank mine fb237 examples --test-graph fb237_ind")
@click.argument("graph", type=FOLDER)
@click.argument("out", type=FOLDER)
@config_options(MiningConfig)
@out_options
def mine(graph: Path, out: Path, force: bool, as_json: bool, **settings: Any) -> None:
    """Make the examples of relation prediction: questions about GRAPH's triples with its paths as contexts, into OUT.

    GRAPH is a folder with train.txt, valid.txt and test.txt: head, relation and tail with tabs between, one triple a
    line. All stages take OUT as --data. They take GRAPH too, with the defaults: replank run mines it once, into its
    folder, and other stages each for themselves.
    """
    from replank import api

    mined = api.mine(graph, out, config_of(MiningConfig, settings), force=force)
    if as_json:
        print_json({name: split.facts() for name, split in mined.splits.items()})
        return
    for name, split in mined.splits.items():
        print_table(f"{out}, {name}", [(fact, f"{value:.4g}") for fact, value in split.facts().items()])
