"""The artifacts of a chain's stages, each in its folder, made once and reused."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replank.data.examples import DataConfig, Dataset
from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST
from replank.models.provenance import config_json
from replank.models.source import Source, open_source
from replank.system.errors import UsageError

_log = logging.getLogger(__name__)


class StageFolders:
    """The folders of a chain below one folder."""

    def __init__(self, out: Path, data: Dataset) -> None:
        self._out, self._data = out, data

    def stage(
        self, name: str, stage: Callable[..., Artifact], source: Source, config: Any, data_config: DataConfig
    ) -> Source:
        """Run a stage, unless its artifact exists.

        :param name: of its folder, with ``/`` for folders within folders.
        :raises UsageError: the artifact was made from another model, with other settings, on other data, or for
            another task, of which the headline metric is a part.
        """
        folder = self._out / name
        if (folder / MANIFEST).exists():
            self._require_same(Artifact.open(folder), source, config)
            _log.info("%s: done before", name)
        else:
            _log.info("%s:", name)
            stage(source, folder, config, data_config)
        return open_source(folder)

    def _require_same(self, artifact: Artifact, source: Source, config: Any) -> None:
        made_by, parent = artifact.manifest.made_by, artifact.manifest.parent
        differs = {
            "parent model": (parent and parent.digest) != source.digest,
            "settings": made_by.config != json.loads(json.dumps(config_json(config))),
            "data": made_by.data != self._data.digests,
            "task": artifact.manifest.task != self._data.task,
        }
        if any(differs.values()):
            what = ", ".join(name for name, differ in differs.items() if differ)
            raise UsageError(
                f"{artifact.path} exists and was made from other inputs (differs in: {what})",
                hint=f"choose another `out`, or delete {artifact.path} to make it again",
            )
