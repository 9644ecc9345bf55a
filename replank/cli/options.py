"""Options that several commands share, and the objects that they become."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from replank.cli.config_options import config_options
from replank.data.examples import DataConfig
from replank.runtime.providers import PROVIDERS
from replank.system.settings import settings_of
from replank.tasks.kinds import KIND_NAMES

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

FOLDER = click.Path(path_type=Path)
FILE = click.Path(path_type=Path)
_FILE_WIDTH = 200
_DATA = tuple(entry.name for entry in settings_of(DataConfig))


def option(*names: str, **settings: Any) -> Decorator:
    """An option whose default is shown in ``--help``."""
    return click.option(*names, **{"show_default": True} | settings)


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where examples come from; the command gets them as ``data: DataConfig | None``."""

    @functools.wraps(command)
    def wrapped(*args: Any, **values: Any) -> None:
        given = {name: values.pop(name) for name in _DATA}
        kind = values.pop("kind")
        # An older spelling: the name of a data set as --task, and its kind as --kind.
        if kind is not None and given["task"] is not None and given["dataset"] is None:
            given["dataset"] = given["task"]
            click.echo(f"--task {given['task']} names a data set: say --dataset {given['task']}", err=True)
        given["task"] = kind or given["task"]
        # A column or a length without data is refused there, not passed over here.
        asked = any(value is not None for value in given.values())
        command(*args, **values, data=DataConfig(**given) if asked else None)

    kind = option("--kind", type=click.Choice(list(KIND_NAMES)), help="The same as --task.")
    return config_options(DataConfig)(kind(wrapped))


def training_options(epochs: float, learning_rate: float | str) -> Decorator:
    """The fields of ``replank_compress.training.config.TrainingConfig``.

    :param epochs: the command's default.
    :param learning_rate: the command's default, or what the help says of it where a method has its own.
    """
    own = isinstance(learning_rate, str)
    rate: dict[str, Any] = {"help": f"Peak learning rate. [default: {learning_rate}]"} if own else {}
    return _together(
        option("--epochs", type=float, default=epochs, help="Passes over the training split."),
        option("--batch-size", type=int, default=32, help="Examples of one step."),
        option("--learning-rate", type=float, **rate or {"default": learning_rate, "help": "Peak learning rate."}),
        option("--micro-batches", type=int, default=1, help="Parts to compute a step in; more need less memory."),
        option("--seed", type=int, default=42, help="Of order, dropout, initialisation and draws."),
        option(
            "--precision",
            type=click.Choice(["auto", "bf16", "fp16", "fp32"]),
            default="auto",
            help="auto: bf16 where the hardware has it.",
        ),
        option("--patience", type=int, help="Evaluations without a better dev metric until training ends."),
        option("--checkpoint-activations", is_flag=True, help="Compute them twice instead of keeping them."),
    )


def out_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--force`` and ``--json`` of the commands that write an artifact."""
    force = option("--force", is_flag=True, help="Replace a non-empty OUT.")
    return force(json_option(command))


def json_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--json``; the command gets it as ``as_json``."""
    return option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)


def device_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where and how wide to run."""
    help_text = "Where to run; never elsewhere. auto: measured once, the fastest, kept in the model's folder."
    return _together(
        option("--device", type=click.Choice([*PROVIDERS, "auto"]), default="cpu", help=help_text),
        threads_option,
    )(command)


def devices_option(command: Callable[..., None]) -> Callable[..., None]:
    """Where to run, side by side; the command gets it as ``devices``."""
    return option(
        "--device",
        "devices",
        type=click.Choice([*PROVIDERS, "auto"]),
        multiple=True,
        default=("cpu",),
        help="Repeatable: each model on each. auto: wherever it runs here.",
    )(command)


def threads_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--threads``."""
    return option("--threads", type=click.IntRange(1), help="Threads of an operator. [default: the cores at hand]")(
        command
    )


def example(text: str) -> str:
    """An epilog that shows how the command is typed."""
    return f"\b\nExample:\n  {text}"


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(title: str, rows: list[tuple[str, str]]) -> None:
    """Two columns for a person."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(name, value)
    console().print(title, style="italic")
    console().print(table)


def console() -> Console:
    """Standard output, on which brackets and colons of names and texts are no markup; as wide as it takes in a file."""
    return Console(markup=False, emoji=False, highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)


def _together(
    *decorators: Decorator,
) -> Decorator:
    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate
