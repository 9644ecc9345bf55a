"""The commands that reproduce the artifacts of a report."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Any

from replank.models.provenance import variant_name
from replank.reporting.facts import Stage

# The option that chooses among the variants of a stage's configuration.
_CHOICES = {"compress": "--method", "quantize": "--scheme"}
# Settings that are on by default, and so must be switched off.
_ON_BY_DEFAULT = ("per_channel",)


def commands(stages: Sequence[Stage]) -> list[str]:
    """A command line for each stage. ``DATA`` stands for the folder of the data, which manifests do not name."""
    return [_command(stage) for stage in stages]


def _command(stage: Stage) -> str:
    manifest = stage.manifest
    config = manifest.made_by.config
    stage_name = manifest.made_by.stage
    parts = ["replank", stage_name, manifest.parent.name if manifest.parent else "MODEL", stage.name]
    if (choice := _CHOICES.get(stage_name)) and "type" in config:
        parts += [choice, variant_name(config["type"])]
    for name, value in config.items():
        parts += _flags(name, value)
    if manifest.made_by.data:
        parts += _data(stage)
    return shlex.join(parts)


def _flags(name: str, value: Any) -> list[str]:
    """The options for a field of a configuration; none for a field without a value."""
    flag = f"--{name.replace('_', '-')}"
    if name == "type":
        return []
    match value:
        case bool() if name in _ON_BY_DEFAULT:
            return [] if value else [f"--no-{flag.removeprefix('--')}"]
        case None | False:
            return []
        case True:
            return [flag]
        case {"type": kind, **rest}:
            inner = [part for key, item in rest.items() for part in _flags(str(key), item)]
            return [flag, variant_name(kind), *inner]
        case dict():
            return [flag, json.dumps(value)]
        case [dict(), *_]:
            # Stages of a growth, each of which is an option.
            return [part for item in value for part in (flag.removesuffix("s"), _pairs(item))]
        case list():
            return [flag, ",".join(map(str, value))]
        case _:
            return [flag, str(value)]


def _pairs(values: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in values.items() if name != "type" and value is not None)


def _data(stage: Stage) -> list[str]:
    task = stage.manifest.task
    columns = [*task.columns, None, None][:2]
    named = {
        "--text": columns[0],
        "--text-pair": columns[1],
        "--label": task.label_column,
        "--label-separator": task.label_separator,
        "--task": task.kind.name,
    }
    flags = [part for flag, value in named.items() if value for part in (flag, value)]
    return ["--dataset", re.sub(r"\s+", " ", task.name), "--data", "DATA", *flags, "--max-length", str(task.max_length)]
