"""The device ``auto``: measures every provider that can run a model and chooses the fastest with the same answers.

Which provider is fastest depends on the machine, the graph and the shapes, so no rule would do. The measurements are
kept in the artifact's manifest, and used until the machine or the versions change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST, manifest_text
from replank.models.provider_table import ProviderTable
from replank.models.source import Source
from replank.runtime.model import Model
from replank.runtime.provider_measurement import REFERENCE, Measurement, measure_providers
from replank.runtime.providers import PROVIDERS, Device, packages
from replank.system.environment import processor
from replank.system.errors import ArtifactError, MissingExtraError, ProviderError
from replank.system.extras import installed_version
from replank.system.files import replace_file

Auto = Literal["auto"]
_log = logging.getLogger(__name__)

Load = Callable[[Device], "Model"]


def choose_device(source: Source, threads: int, load: Load) -> Model:
    """Load an ONNX model on its fastest provider.

    A choice kept in the artifact holds for the same machine, versions and threads. Otherwise every provider that can
    run the model is measured, a second or two each, and the choice is kept if the folder is writable.

    :param load: loads the model on a device.
    :raises ProviderError: the reference cannot run it.
    """
    if kept := kept_device(source, threads):
        try:
            model = load(kept)
        except (ProviderError, MissingExtraError) as error:
            _log.warning("auto device: %s ran this model before and does not now: %s", kept, error)
        else:
            _log.info("auto device: %s, as measured before", kept)
            return model
    models = _load_all(load)
    _log.info("auto device: measuring %s", ", ".join(models))
    found = measure_providers(models)
    _tell(found)
    table = provider_table(found.shapes, found.milliseconds, found.left_out, found.choice, threads=threads)
    _keep(source, table)
    return models[found.choice]


def kept_device(source: Source, threads: int) -> Device | None:
    """The choice that an artifact keeps; ``None`` if it keeps none for this machine, these versions and threads."""
    kept = source.manifest.providers if source.manifest else None
    if kept and (kept.machine, kept.versions, kept.threads) == (processor(), _versions(), threads):
        return kept.choice
    return None


def provider_table(
    shapes: tuple[tuple[int, int], ...],
    milliseconds: dict[Device, tuple[float, ...]],
    left_out: dict[Device, str],
    choice: Device,
    *,
    threads: int,
) -> ProviderTable:
    """What was measured here and now, as an artifact keeps it for :func:`choose_device`; see :class:`ProviderTable`."""
    return ProviderTable(processor(), _versions(), threads, shapes, milliseconds, left_out, choice)


def _load_all(load: Load) -> dict[Device, Model]:
    """The model on every provider that can run it here."""
    models = {}
    for device in PROVIDERS:
        try:
            models[device] = load(device)
        except (ProviderError, MissingExtraError) as error:
            if device == REFERENCE:
                raise
            _log.debug("auto device: %s", error.message)
    return models


def _versions() -> dict[str, str]:
    """The versions for which a measurement holds."""
    return {name: version for name in ("replank", *packages()) if (version := installed_version(name))}


def _tell(found: Measurement) -> None:
    for device, reason in found.left_out.items():
        _log.warning("auto device: %s is left out: %s", device, reason)
    ranked = sorted(found.means.items(), key=lambda item: item[1])
    shown = ", ".join(f"{device} {mean:.2f} ms" for device, mean in ranked)
    _log.info("auto device: %s (geometric mean: %s)", found.choice, shown)


def _keep(source: Source, table: ProviderTable) -> None:
    if source.artifact is None:
        _log.info("auto device: %s is not an artifact of replank, so the choice is not kept", source.name)
        return
    try:
        _rewrite(source.artifact, table)
    except (OSError, ArtifactError) as error:
        _log.warning("auto device: the choice could not be kept in %s: %s", source.name, error)


def _rewrite(artifact: Artifact, table: ProviderTable) -> None:
    """Replace the manifest's table of providers, atomically."""
    manifest = Artifact.open(artifact.path).manifest
    if manifest.digest != artifact.manifest.digest:
        raise ArtifactError("the folder holds another artifact by now")
    replace_file(artifact.path / MANIFEST, manifest_text(replace(manifest, providers=table).to_json()))
