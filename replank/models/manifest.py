"""The manifest, ``replank.json``: how a model was made and from what, what was measured, and its files' digests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from replank.models.provenance import MadeBy
from replank.models.provider_table import ProviderTable
from replank.models.quality import Differences, Quality, Robustness
from replank.models.source_card import SourceCard
from replank.models.training_facts import ReferenceFacts, TrainingFacts
from replank.system.errors import ArtifactError, ReplankError
from replank.system.files import CARD as CARD
from replank.system.files import MANIFEST as MANIFEST
from replank.system.typed_json import added, dataclass_from_json, object_values
from replank.tasks.task import Task

SCHEMA = 1
MODEL_FILES = {"torch": "model.safetensors", "onnx": "model.onnx"}
TRAINING, TRAINING_CHART = "training.json", "training.svg"
# The answers by which the quality was computed.
ROW_ANSWERS = "answers.json"
_OF_THE_RUN = (TRAINING, TRAINING_CHART, ROW_ANSWERS)
# Facts of the run, not of the model: they do not enter the digest. Release 0.1.0 had the training curve among them.
_NOT_IDENTITY = ("machine", "seconds", "finished_at", "curve", "stage_seconds", "processor_seconds", "choice")

ArtifactKind = Literal["torch", "onnx"]


@dataclass(frozen=True)
class FileFacts:
    """A file of an artifact."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Parent:
    """The model that an artifact was made of.

    :param name: of its folder or on the hub.
    :param digest: of its manifest, or of its weights.
    :param manifest: ``None`` for a plain model folder.
    :param card: what its own model card says, of a plain model. No part of any digest.
    """

    name: str
    digest: str
    manifest: Manifest | None
    card: SourceCard | None = added("0.7.0")


@dataclass(frozen=True)
class Manifest:
    """The content of ``replank.json``.

    :param precision: of the weights that do the work: ``fp32``, ``fp16``, ``int8``.
    :param task: what the model was made for.
    :param quality: as measured on this very model; ``None`` if it was not.
    :param verification: the differences from its source; ``None`` where nothing was compared.
    :param files: every other file, by name.
    :param providers: the choice of ``device="auto"``; ``None`` before. No part of the digest.
    :param robustness: under attack; ``None`` if it was not attacked. No part of the digest.
    :param sealed_card: the model card as it was sealed, where ``robustness`` was written into it later.
    """

    kind: ArtifactKind
    precision: str
    task: Task
    made_by: MadeBy
    parent: Parent | None
    quality: Quality | None
    verification: Differences | None
    files: dict[str, FileFacts] = field(default_factory=dict)
    providers: ProviderTable | None = None
    robustness: Robustness | None = None
    sealed_card: FileFacts | None = None

    @property
    def as_made(self) -> Manifest:
        """The manifest without what was measured after the model was made."""
        files = self.files if self.sealed_card is None else {**self.files, CARD: self.sealed_card}
        return replace(self, files=files, providers=None, robustness=None, sealed_card=None)

    @property
    def digest(self) -> str:
        """The artifact's identity: sha256 of the manifest without what tells of the run only.

        The parent enters by its own digest, for the same reason.
        """
        values = self.as_made.to_json()
        values["made_by"] = {key: value for key, value in values["made_by"].items() if key not in _NOT_IDENTITY}
        values["files"] = {name: entry for name, entry in values["files"].items() if name not in _OF_THE_RUN}
        values["parent"] = self.parent and self.parent.digest
        return _sha256(_canonical(values).encode())

    @property
    def references(self) -> ReferenceFacts | None:
        """The bank of references that the model attends to: its training's, through all later stages."""
        facts = self.made_by.facts
        if isinstance(facts, TrainingFacts):
            return facts.references
        return self.parent.manifest.references if self.parent and self.parent.manifest else None

    def chose_on(self, rows: str) -> bool | None:
        """Whether these rows chose something about the model: its checkpoint, or what INT8 keeps in floating point.

        :param rows: the digest of a split.
        :returns: ``None`` if that is not known: the chain began with a model that somebody else had trained.
        """
        if self.made_by.facts.chosen_on == rows:
            return True
        if self.parent and self.parent.manifest:
            return self.parent.manifest.chose_on(rows)
        return False if self.made_by.stage in ("pretrain", "finetune") else None

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain JSON values."""
        return {"schema": SCHEMA} | object_values(self)

    @classmethod
    def from_json(cls, values: Any) -> Manifest:
        """The manifest that :meth:`to_json` wrote.

        :raises ValueError: a value is missing or of another type.
        """
        return dataclass_from_json(cls, values)


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
    try:
        manifest = Manifest.from_json(values)
    except (ValueError, ReplankError) as error:
        raise ArtifactError(f"{file} cannot be read: {error}", hint="use the replank that wrote it") from None
    # A fact that is not known here would be lost, and with it the identity.
    if _canonical(manifest.to_json() | {"checksum": values["checksum"]}) != _canonical(values):
        raise ArtifactError(f"{file} holds facts that this replank does not know", hint="use the replank that wrote it")
    return manifest


def _canonical(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
