"""The artifacts of a chain's stages, each in its folder, made once and reused."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.models.artifact import Artifact
from replank.models.facts import StageFacts
from replank.models.manifest import MANIFEST, Manifest
from replank.models.provenance import config_json
from replank.models.source import Source, open_source
from replank.models.training_facts import TrainingFacts
from replank.system.environment import versions
from replank.system.errors import UsageError
from replank.tasks.task import Task

_log = logging.getLogger(__name__)


class StageFolders:
    """The folders of a chain below one folder."""

    def __init__(self, out: Path, data: Dataset) -> None:
        self._out, self._data = out, data

    def stage(
        self,
        name: str,
        stage: Callable[..., Artifact],
        source: Source,
        config: Any,
        data_config: DataConfig | None = None,
    ) -> Source:
        """Run a stage, unless its artifact exists.

        :param name: of its folder, with ``/`` for folders within folders.
        :param data_config: the task's data; ``None`` for a stage that takes none.
        :raises UsageError: the artifact was made from another model, with other settings or versions, on other data,
            or for another task, of which the headline metric is a part.
        """
        folder = self._out / name
        if (folder / MANIFEST).exists():
            self._require_same(Artifact.open(folder), source, config, has_data=data_config is not None)
            _log.info("%s: done before", name)
        else:
            _log.info("%s:", name)
            stage(source, folder, config, *([data_config] if data_config else []))
        return open_source(folder)

    def _require_same(self, artifact: Artifact, source: Source, config: Any, *, has_data: bool) -> None:
        manifest = artifact.manifest
        made_by, parent = manifest.made_by, manifest.parent
        differs = {
            "parent model": (parent and parent.digest) != source.digest,
            "settings": made_by.config != json.loads(json.dumps(config_json(config))),
            "init_from": _origin(made_by.facts) != _origin_of(config),
            "data": has_data and made_by.data != self._data.digests,
            "task": has_data and _asked(manifest.task) != _asked(self._data.task),
        }
        found = [name for name, differ in differs.items() if differ] + _other_versions(manifest)
        if found:
            raise UsageError(
                f"{artifact.path} exists and was made from other inputs (differs in: {', '.join(found)})",
                hint=f"choose another `out`, or delete {artifact.path} to make it again",
            )


def _asked(task: Task) -> Task:
    """A task as data asks it: thresholds are what a stage found."""
    return replace(task, thresholds=None)


def _origin(facts: StageFacts) -> str | None:
    """The digest of the model that training started from, if that is not the parent."""
    return facts.init_from.digest if isinstance(facts, TrainingFacts) and facts.init_from else None


def _origin_of(config: Any) -> str | None:
    # The configuration in a manifest has only its name.
    name = getattr(config, "init_from", None)
    return open_source(name).digest if name else None


def _other_versions(manifest: Manifest) -> list[str]:
    """What was another version when an artifact was made, such as ``torch 2.12.0``; none for what has no part in it."""
    now = versions()
    return [
        f"{name} {version}"
        for name, version in manifest.made_by.versions.items()
        if version != now.get(name, version) and not (manifest.kind == "torch" and name.startswith("onnx"))
    ]
