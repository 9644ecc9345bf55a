"""The commands that make the artifacts of a report again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from replank.report.facts import Stage

_METHODS = {"KdConfig": "kd", "PkdConfig": "pkd", "TruncateConfig": "truncate"}
_SCHEDULES = {"LinearSchedule": "linear", "ConstantSchedule": "constant", "AntiCurriculumSchedule": "anti-curriculum"}
# Fields of the Python interface alone.
_NO_FLAG = ("type", "warmup", "weight_decay")


def commands(stages: Sequence[Stage]) -> list[str]:
    """One line a stage. ``DATA`` stands for the folder of the data, whose place no manifest knows."""
    return [_command(stage) for stage in stages]


def _command(stage: Stage) -> str:
    manifest = stage.manifest
    config = manifest.made_by["config"]
    parts = ["replank", manifest.made_by["stage"], (manifest.parent or {"name": "MODEL"})["name"], stage.name]
    if method := _METHODS.get(config.get("type", "")):
        parts += ["--method", method]
    if config.get("type") == "StaticInt8":
        parts += ["--scheme", "static"]
    for name, value in config.items():
        parts += _flags(name, value)
    if manifest.made_by.get("data"):
        parts += _data(stage)
    return shlex.join(parts)


def _flags(name: str, value: Any) -> list[str]:
    """A field of a configuration as its flag; what is left at nothing needs none."""
    flag = f"--{name.replace('_', '-')}"
    if name in _NO_FLAG:
        return []
    match value:
        case bool() if name == "per_channel":
            return ["--per-channel" if value else "--per-tensor"]
        case None | False:
            return []
        case True:
            return [flag]
        case {"type": kind, **rest}:
            inner = [part for key, item in rest.items() for part in _flags(str(key), item)]
            return [flag, _SCHEDULES.get(kind, kind), *inner]
        case list():
            return [flag, ",".join(map(str, value))]
        case _:
            return [flag, str(value)]


def _data(stage: Stage) -> list[str]:
    task = stage.manifest.task
    columns = [*task.columns, None, None][:2]
    named = {"--text": columns[0], "--text-pair": columns[1], "--label": task.label_column, "--task": task.kind.name}
    flags = [part for flag, value in named.items() if value for part in (flag, value)]
    return ["--dataset", re.sub(r"\s+", " ", task.name), "--data", "DATA", *flags, "--max-length", str(task.max_length)]
