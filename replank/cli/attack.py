"""The command `attack`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FILE, console, data_options, device_options, json_option, option, print_json
from replank.data.config import DataConfig
from replank.data.examples import SPLITS
from replank.robustness.config import AttackConfig
from replank.robustness.table import attack_table, transfer_table
from replank.system.typed_json import json_values


@command("replank attack predecessor successor int8 --masked-lm bert-base-uncased --dataset sst2", goes_on=True)
@click.argument("models", nargs=-1, required=True)
@option("--masked-lm", required=True, help="The masked language model that proposes words: folder or hub name.")
@option("--similarity-model", help="An encoder whose vectors tell how much of a text's sense is kept.")
@option("--out", type=FILE, default="attack.json", help="File of the result: every text, and what was changed.")
@option(
    "--split",
    type=click.Choice([*SPLITS, "validation"]),
    help="The split to attack. [default: test if it has labels, else dev]",
)
@option("--force", is_flag=True, help="Replace OUT.")
@config_options(AttackConfig)
@data_options
@device_options
@json_option
def attack(
    models: tuple[str, ...],
    masked_lm: str,
    similarity_model: str | None,
    out: Path,
    split: str | None,
    force: bool,
    data: DataConfig | None,
    device: Any,
    threads: int | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """How easily MODELS are fooled: BERT-Attack on all of them, with the same texts, side by side.

    Words that matter are replaced by what a masked language model finds fitting, until a model changes its answer. A
    masked LM of your own, for other languages or offline: replank finetune ENCODER OUT --task masked-lm.

    Interrupted, the same command goes on behind the texts that are done.
    """
    from replank import api

    result = api.attack(
        models,
        masked_lm,
        config_of(AttackConfig, settings),
        data=data,
        split=split,
        similarity_model=similarity_model,
        out=out,
        device=device,
        threads=threads,
        force=force,
    )
    if as_json:
        print_json(json_values(result))
        return
    console().print(attack_table(result))
    if len(result.victims) > 1:
        console().print(transfer_table(result))
    click.echo(f"every text: {out}", err=True)
