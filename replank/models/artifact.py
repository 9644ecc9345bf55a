"""The artifact: a model folder that is also a link of a chain, written atomically and checked when read.

A folder holds what transformers or Optimum would put there, a model card, and ``replank.json``, the manifest,
which lists the sha256 of every other file, how the model was made and from what, and what was measured.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from replank.models.card import model_card
from replank.system.errors import ArtifactError, UsageError
from replank.system.files import replace_folder, sweep_leftovers
from replank.tasks.task import Task

MANIFEST = "replank.json"
SCHEMA = 1
MODEL_FILES = {"torch": "model.safetensors", "onnx": "model.onnx"}
TRAINING, TRAINING_CHART = "training.json", "training.svg"
# Facts of the run, not of the model: they do not enter the digest.
_NOT_IDENTITY = ("machine", "seconds", "finished_at")

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


@dataclass(frozen=True)
class Artifact:
    """A folder whose manifest was read and whose files were found to be what it says."""

    path: Path
    manifest: Manifest

    @property
    def model_file(self) -> Path:
        """The weights, or the graph to run."""
        return self.path / MODEL_FILES[self.manifest.kind]

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(entry["bytes"] for entry in self.manifest.files.values())

    def as_parent(self) -> dict[str, Any]:
        """This artifact as the ``parent`` of another's manifest: the whole lineage travels."""
        manifest = replace(self.manifest, providers=None)
        return {"name": self.path.name, "digest": self.manifest.digest, "manifest": manifest.to_json()}

    @classmethod
    def open(cls, path: Path) -> Artifact:
        """Read an artifact and check every file of it.

        :raises ArtifactError: no manifest, an unknown schema, a missing file, or any bit that is not as written.
        """
        manifest = _read_manifest(path)
        for name, expected in manifest.files.items():
            _check_file(path / name, expected)
        return cls(path, manifest)


@contextmanager
def new_artifact(out: Path, *, force: bool) -> Iterator[Path]:
    """A temporary sibling folder to fill and :func:`seal`; it becomes ``out`` when the block ends well.

    When the block raises, the folder is deleted and ``out`` is as it was.

    :param force: replace an artifact that is there, which is kept until the new one is whole.
    :raises UsageError: see :func:`require_free`.
    :raises ArtifactError: the block did not seal the folder.
    :raises ReplankError: no folder can be made there.
    """
    sweep_leftovers(out)  # which may put an artifact back, so that ``out`` is not free
    require_free(out, force=force)
    with replace_folder(out) as folder:
        yield folder
        if not (folder / MANIFEST).exists():
            raise ArtifactError(f"the artifact {out} was not sealed")


def require_free(out: Path, *, force: bool, source: Path | None = None) -> None:
    """Refuse an output folder that cannot be written, early, before any work is done for it.

    :param force: allow an artifact to be replaced, but no other folder.
    :param source: the folder of the model that ``out`` is made of.
    :raises UsageError: ``out`` is not empty, is no folder, is the source, or cannot be made where it is asked for.
    """
    if source is not None and out.resolve() == source.resolve():
        raise UsageError(f"{out} is the model itself", hint="choose another folder for what is made of it")
    _require_writable(out)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not force:
        raise UsageError(f"{out} is not empty", hint="choose another folder, or replace it with --force")
    if not (out / MANIFEST).is_file() or any(path.is_dir() for path in out.iterdir()):
        raise UsageError(
            f"{out} holds more than an artifact, and --force replaces nothing else",
            hint="choose another folder, or delete this one yourself",
        )


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the model card and the manifest, with the digests of all files that lie in the folder.

    :raises ArtifactError: the folder does not hold exactly one model of the manifest's kind.
    """
    models = [name for name in MODEL_FILES.values() if (folder / name).exists()]
    if models != [MODEL_FILES[manifest.kind]]:
        raise ArtifactError(f"an artifact of kind {manifest.kind} cannot hold {models or 'no model'}")
    (folder / "README.md").write_text(model_card(manifest.to_json()), encoding="utf-8")
    names = sorted(path.name for path in folder.iterdir())
    files = {name: {"sha256": _sha256_file(folder / name), "bytes": (folder / name).stat().st_size} for name in names}
    sealed = Manifest(**{name: getattr(manifest, name) for name in manifest.__dataclass_fields__} | {"files": files})
    (folder / MANIFEST).write_text(manifest_text(sealed.to_json()), encoding="utf-8")


def manifest_text(values: dict[str, Any]) -> str:
    """The exact bytes of a manifest: with its own checksum, so that a flipped bit in it is noticed too."""
    checksum = _sha256(_canonical(values).encode())
    return json.dumps(values | {"checksum": checksum}, indent=2, ensure_ascii=False) + "\n"


def _read_manifest(path: Path) -> Manifest:
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


def _check_file(file: Path, expected: dict[str, Any]) -> None:
    if not file.is_file():
        raise ArtifactError(f"{file} is missing", hint="copy the whole folder, or make the artifact again")
    if file.stat().st_size != expected["bytes"] or _sha256_file(file) != expected["sha256"]:
        raise ArtifactError(
            f"{file} is damaged: its sha256 is not the manifest's",
            hint="copy it again, or make the artifact again",
        )


def _canonical(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_writable(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; expected a new or empty folder")
    target = out.resolve()
    for hinders, what in ((target == Path.cwd(), "the folder that you are in"), (target.is_mount(), "a mount point")):
        if hinders:
            raise UsageError(
                f"{out} is {what}, which cannot be renamed onto", hint=f"choose a folder in it: {out / 'model'}"
            )
    above = next(parent for parent in target.parents if parent.exists())
    if not above.is_dir():
        raise UsageError(f"cannot make {out}: {above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"cannot make {out}: {above} is not writable")
