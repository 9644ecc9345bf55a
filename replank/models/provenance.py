"""The provenance of an artifact: the stage that made it, with its settings, on which machine and when."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from replank.models.facts import FACTS_OF_STAGE, StageFacts
from replank.system.environment import Machine, machine, versions
from replank.system.typed_json import dataclass_from_json, object_values

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Facts = TypeVar("Facts", bound=StageFacts)


class Stopwatch:
    """Started when a stage starts, read when its manifest is written."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self._start, 2)


@dataclass(frozen=True, kw_only=True)
class StageRun:
    """A stage as it was run.

    :param stage: its name.
    :param config: its full configuration, see :func:`config_json`.
    :param versions: of replank, Python and the libraries that compute.
    :param seconds: the stage's duration.
    :param finished_at: in UTC, ISO 8601.
    """

    stage: str
    config: dict[str, Any]
    versions: dict[str, str]
    machine: Machine
    seconds: float
    finished_at: str


@dataclass(frozen=True, kw_only=True)
class MadeBy(StageRun):
    """The run of a stage that made an artifact, with what the stage remembers; the stage decides its type."""

    facts: StageFacts

    def facts_of(self, kind: type[Facts]) -> Facts:
        """The facts, where the stage is known.

        :raises TypeError: they are of another stage.
        """
        if not isinstance(self.facts, kind):
            raise TypeError(f"{self.stage} has no {kind.__name__}")
        return self.facts

    @property
    def data(self) -> dict[str, str] | None:
        """Digest of each split of the data; ``None`` if it was made without data."""
        return self.facts.data

    @classmethod
    def now(cls, stage: str, config: DataclassInstance, facts: StageFacts, stopwatch: Stopwatch) -> MadeBy:
        """A stage that ends here and now.

        :param config: the stage's frozen dataclass, stored whole.
        """
        return cls(
            stage=stage,
            config=config_json(config),
            versions=versions(),
            machine=machine(),
            seconds=stopwatch.seconds,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            facts=facts,
        )

    def to_json(self) -> dict[str, Any]:
        """JSON values, in which the facts stand beside the others."""
        values = object_values(self)
        facts: dict[str, Any] = values.pop("facts")
        # The order in which a reader wants them.
        return {"stage": self.stage, "config": self.config} | facts | values

    @classmethod
    def from_json(cls, values: Any) -> MadeBy:
        """Read what :meth:`to_json` wrote.

        :raises ValueError: a value is missing or of another type, or the stage is not known.
        """
        stage = values.get("stage") if isinstance(values, dict) else None
        if stage not in FACTS_OF_STAGE:
            raise ValueError(f"made_by.stage is {stage!r}; expected one of {', '.join(FACTS_OF_STAGE)}")
        run = dataclass_from_json(StageRun, values, "made_by")
        return cls(**vars(run), facts=dataclass_from_json(FACTS_OF_STAGE[stage], values, "made_by"))


def config_json(config: DataclassInstance) -> dict[str, Any]:
    """A configuration as plain JSON values, with its ``type``, for variants are types.

    Of a path only the name is kept, for the folders of the machine that a model was made on mean nothing elsewhere.
    Settings that change nothing about what is made are left out.
    """
    kept = [field.name for field in fields(config) if field.metadata.get("is_identity", True)]
    values = {name: _plain(getattr(config, name)) for name in kept}
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
