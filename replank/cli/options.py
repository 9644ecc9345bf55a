"""Options that several commands share, and how commands print."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from replank.cli.command import Option
from replank.cli.config_options import config_of, config_options
from replank.data.config import DataConfig
from replank.runtime.providers import PROVIDERS
from replank.system.errors import UsageError
from replank.system.settings import settings_of
from replank.tasks.kinds import KIND_NAMES

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

FOLDER = click.Path(path_type=Path)
FILE = click.Path(path_type=Path)
_FILE_WIDTH = 200


def option(*names: str, **settings: Any) -> Decorator:
    """An option whose default is shown in ``--help``."""
    return click.option(*names, cls=Option, **{"show_default": True} | settings)


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """The source of examples; the command gets it as ``data: DataConfig | None``."""
    return data_options_without()(command)


def data_options_without(*left_out: str) -> Decorator:
    """The source of examples, of which the command takes some settings for itself, or has no use for them."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(*args: Any, data: dict[str, Any], **values: Any) -> None:
            # A column or a length without data is refused there, not passed over here.
            command(*args, **values, data=config_of(DataConfig, data) if data else None)

        return _with_data_values(wrapped, left_out)

    return decorate


def data_values(command: Callable[..., None]) -> Callable[..., None]:
    """The same options; the command gets ``data``, the values that were given by the names of their settings."""
    return _with_data_values(command, ())


def _with_data_values(command: Callable[..., None], left_out: Sequence[str]) -> Callable[..., None]:
    names = [entry.name for entry in settings_of(DataConfig) if entry.name not in left_out]

    @functools.wraps(command)
    def wrapped(*args: Any, **values: Any) -> None:
        given = {name: values.pop(name) for name in names}
        kind = values.pop("kind")
        # The spelling of 0.3: the name of a data set as --task, and its kind as --kind.
        if kind is not None and given["task"] is not None and given["dataset"] is None:
            given["dataset"] = given["task"]
            click.echo(f"--task {given['task']} names a data set: say --dataset {given['task']}", err=True)
        given["task"] = kind or given["task"]
        command(*args, **values, data={name: value for name, value in given.items() if value is not None})

    kind = option("--kind", type=click.Choice(list(KIND_NAMES)), help="The same as --task.", heading="Data")
    return config_options(DataConfig, leave_out=left_out, heading="Data")(kind(wrapped))


def with_texts_alone(data: dict[str, Any], settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values of data options and of a configuration, with ``unlabelled`` as the training split if it is all the data.

    Where columns or a kind of task are told, they are told of these texts.
    """
    sources = {"dataset", "data", "train", "dev", "test"}
    if not data or settings.get("unlabelled") is None or data.keys() & sources:
        return data, settings
    return {**data, "train": settings["unlabelled"]}, {**settings, "unlabelled": None}


def required_data(data: DataConfig | None) -> DataConfig:
    """Training needs data.

    :raises UsageError: no data option was given.
    """
    if data is None:
        raise UsageError("no data given", hint="`dataset=NAME` (GLUE), `data=FOLDER`, or `train=FILE` and `dev=FILE`")
    return data


def out_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--force`` and ``--json`` of the commands that write an artifact."""
    return option("--force", is_flag=True, help="Replace a non-empty OUT.")(json_option(command))


def json_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--json``; the command gets it as ``as_json``."""
    return option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)


def device_options(command: Callable[..., None]) -> Callable[..., None]:
    """The execution provider and its threads."""
    text = "Execution provider; no silent fallback. auto: the fastest, measured once and kept in the model's folder."
    device = option("--device", type=click.Choice([*PROVIDERS, "auto"]), default="cpu", help=text)
    return device(threads_option(command))


def file_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--file``, for a model of several graphs."""
    places = "[default: model.safetensors, then model.onnx, then onnx/model.onnx]"
    text = f"The ONNX graph of a plain MODEL, by its place in it, such as onnx/model_int8.onnx. {places}"
    return option("--file", help=text)(command)


def threads_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--threads``."""
    text = "Threads of one operator. [default: all available cores]"
    return option("--threads", type=click.IntRange(1), help=text)(command)


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
