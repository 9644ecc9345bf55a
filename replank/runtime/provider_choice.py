"""The device ``auto``: measures every provider that can run a model and chooses the fastest with the same answers.

Which provider is fastest depends on the machine, the graph and the shapes, so no rule would do. The measurements are
kept in the artifact's manifest, and used until the machine or the versions change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST, manifest_text
from replank.runtime.provider_measurement import REFERENCE, Measurement, measure_providers
from replank.runtime.providers import PROVIDERS, Device, packages
from replank.system.environment import machine
from replank.system.errors import ArtifactError, MissingExtraError, ProviderError
from replank.system.extras import installed_version
from replank.system.files import replace_file

if TYPE_CHECKING:
    from replank.models.source import Source
    from replank.runtime.model import Model

Auto = Literal["auto"]
_MACHINE = ("cpu", "architecture", "cores", "instruction_sets")
_log = logging.getLogger(__name__)

Load = Callable[[Device], "Model"]


def choose_device(source: Source, threads: int, load: Load) -> Model:
    """Load an ONNX model on its fastest provider.

    A choice kept in the artifact holds for the same machine, versions and threads. Otherwise every provider that can
    run the model is measured, a second or two each, and the choice is kept if the folder is writable.

    :param load: loads the model on a device.
    :raises ProviderError: the reference cannot run it.
    """
    here = _here(threads)
    kept = source.artifact.manifest.providers if source.artifact else None
    if kept and all(kept.get(name) == value for name, value in here.items()):
        try:
            model = load(kept["choice"])
        except (ProviderError, MissingExtraError) as error:
            _log.warning("auto device: %s ran this model before and does not now: %s", kept["choice"], error)
        else:
            _log.info("auto device: %s, as measured before", kept["choice"])
            return model
    models = _load_all(load)
    _log.info("auto device: measuring %s", ", ".join(models))
    found = measure_providers(models)
    _tell(found)
    _keep(source, here | asdict(found) | {"choice": found.choice})
    return models[found.choice]


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


def _here(threads: int) -> dict[str, Any]:
    """The conditions under which a measurement holds."""
    facts = machine()
    return {
        "machine": {name: facts[name] for name in _MACHINE},
        "versions": {name: version for name in ("replank", *packages()) if (version := installed_version(name))},
        "threads": threads,
    }


def _tell(found: Measurement) -> None:
    for device, reason in found.left_out.items():
        _log.warning("auto device: %s is left out: %s", device, reason)
    ranked = sorted(found.means.items(), key=lambda item: item[1])
    shown = ", ".join(f"{device} {mean:.2f} ms" for device, mean in ranked)
    _log.info("auto device: %s (geometric mean: %s)", found.choice, shown)


def _keep(source: Source, table: dict[str, Any]) -> None:
    if source.artifact is None:
        _log.info("auto device: %s is not an artifact of replank, so the choice is not kept", source.name)
        return
    try:
        _rewrite(source.artifact, table)
    except (OSError, ArtifactError) as error:
        _log.warning("auto device: the choice could not be kept in %s: %s", source.name, error)


def _rewrite(artifact: Artifact, table: dict[str, Any]) -> None:
    """Replace the manifest's table of providers, atomically."""
    manifest = Artifact.open(artifact.path).manifest
    if manifest.digest != artifact.manifest.digest:
        raise ArtifactError("the folder holds another artifact by now")
    replace_file(artifact.path / MANIFEST, manifest_text(replace(manifest, providers=table).to_json()))
