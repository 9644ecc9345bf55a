"""The manifest, ``replank.json``: how a model was made and from what, what was measured, and its files' digests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from replank.system.errors import ArtifactError
from replank.tasks.task import Task

MANIFEST = "replank.json"
SCHEMA = 1
MODEL_FILES = {"torch": "model.safetensors", "onnx": "model.onnx"}
TRAINING, TRAINING_CHART = "training.json", "training.svg"
# Facts of the run, not of the model: they do not enter the digest. Release 0.1.0 had the training curve among them.
_NOT_IDENTITY = ("machine", "seconds", "finished_at", "curve")

ArtifactKind = Literal["torch", "onnx"]


@dataclass(frozen=True)
class Manifest:
    """What ``replank.json`` says.

    :param kind: ``torch`` or ``onnx``.
    :param precision: of the weights that do the work: ``fp32``, ``int8``.
    :param task: what the model was made for.
    :param made_by: stage, its full configuration, versions, machine, seconds.
    :param parent: ``{"name", "digest", "manifest"}`` of the source; ``manifest`` is ``None`` for a plain model folder.
    :param quality: ``{"split", "rows", "metrics", …}`` as measured on this very model; ``None`` if it was not.
    :param verification: what was compared with what, and the worst differences; ``None`` if nothing was.
    :param files: ``{name: {"sha256", "bytes"}}`` of every other file.
    :param providers: what ``--device auto`` measured, where, and chose; ``None`` before. No part of the digest.
    """

    kind: ArtifactKind
    precision: str
    task: Task
    made_by: dict[str, Any]
    parent: dict[str, Any] | None
    quality: dict[str, Any] | None = None
    verification: dict[str, Any] | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    providers: dict[str, Any] | None = None

    @property
    def digest(self) -> str:
        """The artifact's identity: sha256 of the manifest without what tells of the run only.

        The parent enters by its own digest, for the same reason.
        """
        made_by = {key: value for key, value in self.made_by.items() if key not in _NOT_IDENTITY}
        files = {name: entry for name, entry in self.files.items() if name not in (TRAINING, TRAINING_CHART)}
        parent = self.parent and self.parent["digest"]
        model = replace(self, providers=None).to_json()
        return _sha256(_canonical(model | {"made_by": made_by, "parent": parent, "files": files}).encode())

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if self.providers is None:
            del values["providers"]
        return {"schema": SCHEMA} | values | {"task": self.task.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Manifest:
        """The manifest that :meth:`to_json` wrote."""
        fields = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        return cls(**fields | {"task": Task.from_json(values["task"])})


def manifest_text(values: dict[str, Any]) -> str:
    """The exact bytes of a manifest: with its own checksum, so that a flipped bit in it is noticed too."""
    checksum = _sha256(_canonical(values).encode())
    return json.dumps(values | {"checksum": checksum}, indent=2, ensure_ascii=False) + "\n"


def read_manifest(path: Path) -> Manifest:
    """The manifest of an artifact's folder.

    :raises ArtifactError: none, an unknown schema, or any bit that is not as written.
    """
    file = path / MANIFEST
    remake = "make the artifact again with the stage that wrote it"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ArtifactError(
            f"{path} is no replank artifact: it has no {MANIFEST}",
            hint="expected a folder that replank export, quantize, compress or finetune made",
        ) from None
    except (UnicodeDecodeError, OSError) as error:
        raise ArtifactError(f"{file} is damaged: {error}", hint=remake) from None
    try:
        values = json.loads(text)
        schema = values["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ArtifactError(f"{file} is damaged: it is not a manifest", hint=remake) from None
    if schema != SCHEMA:
        raise ArtifactError(
            f"{file} has schema {schema}; this replank reads schema {SCHEMA}",
            hint="use the replank that wrote it",
        )
    if text != manifest_text({key: value for key, value in values.items() if key != "checksum"}):
        raise ArtifactError(f"{file} is damaged or was edited: its checksum does not match", hint=remake)
    return Manifest.from_json(values)


def _canonical(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
