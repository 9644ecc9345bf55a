"""How an artifact came to be: the part of the manifest that every stage fills in the same way."""

from __future__ import annotations

import re
import time
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replank.system.environment import machine, versions

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Stopwatch:
    """Started when a stage starts, read when its manifest is written."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self._start, 2)


def made_by(stage: str, config: DataclassInstance, stopwatch: Stopwatch, **facts: Any) -> dict[str, Any]:
    """The manifest's ``made_by``.

    :param config: the stage's frozen dataclass, stored whole.
    :param facts: what else the stage wants remembered.
    """
    return {
        "stage": stage,
        "config": config_json(config),
        **facts,
        "versions": versions(),
        "machine": machine(),
        "seconds": stopwatch.seconds,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def config_json(config: DataclassInstance) -> dict[str, Any]:
    """A configuration as plain JSON values, with its ``type``, for variants are types.

    Of a path only the name is kept, for the folders of the machine that a model was made on mean nothing elsewhere.
    """
    values = {field.name: _plain(getattr(config, field.name)) for field in fields(config)}
    return {"type": type(config).__name__} | values


def variant_name(type_name: str) -> str:
    """The name under which a configuration is registered: ``anti-curriculum`` for ``AntiCurriculumSchedule``.

    It follows from the type's name, as importing the registries would import torch.
    """
    stem = re.sub(r"(Config|Schedule|Int8)$", "", type_name)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", stem).lower()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        return config_json(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
