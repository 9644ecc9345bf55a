"""The artifact: a model folder that is also a link of a chain, written atomically and checked when read.

A folder holds what transformers or Optimum would put there, a model card, and ``replank.json``, the manifest,
which lists the sha256 of every other file, how the model was made and from what, and what was measured.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from replank.models.card import model_card
from replank.models.manifest import (
    CARD,
    MANIFEST,
    MODEL_FILES,
    FileFacts,
    Manifest,
    Parent,
    manifest_text,
    read_manifest,
)
from replank.models.quality import Robustness
from replank.models.weights import Weights
from replank.system.errors import ArtifactError, UsageError
from replank.system.files import replace_folder, sweep_leftovers
from replank.system.locks import exclusive

# Of files that transformers, tokenizers or ONNX Runtime look for beside a model.
_READ_SUFFIXES = {".json", ".txt", ".model", ".jinja", ".safetensors", ".bin", ".h5", ".onnx", ".data", ".py"}


@dataclass(frozen=True, repr=False)
class Artifact:
    """A folder whose manifest was read and whose files were found to be what it says."""

    path: Path
    manifest: Manifest

    def __repr__(self) -> str:
        return (
            f"Artifact({str(self.path)!r}, {self.manifest.kind}, {self.manifest.precision}, {self.manifest.task.kind})"
        )

    @property
    def model_file(self) -> Path:
        """The weights, or the graph to run."""
        return self.path / MODEL_FILES[self.manifest.kind]

    @property
    def weights(self) -> Weights:
        """The files that hold the weights."""
        return Weights.of(self.path, self.manifest.kind)

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(entry.bytes for entry in self.manifest.files.values())

    def as_parent(self, name: str | None = None) -> Parent:
        """This artifact as the parent of another: the whole lineage travels.

        :param name: as it shall be called; the folder's by default.
        """
        return Parent(name or self.path.name, self.manifest.digest, self.manifest.as_made)

    @classmethod
    def open(cls, path: Path) -> Artifact:
        """Read an artifact and check every file of it.

        :raises ArtifactError: no manifest, an unknown schema, a missing file, any bit that is not as written, or a
            file that the manifest does not list and that loading would read.
        """
        manifest = read_manifest(path)
        _check_names(path, manifest)
        for name, expected in manifest.files.items():
            _check_file(path / name, expected)
        return cls(path, manifest)

    def push_to_hub(self, name: str, *, private: bool = False, revision: str | None = None) -> str:
        """Upload the artifact, checked once more, with its model card and manifest to the hub, in one commit.

        :param name: ``owner/name``.
        :param private: make the repository private; a public one that is there is refused.
        :param revision: the branch, made where there is none; ``None`` for the main one.
        :returns: the address of the commit.
        :raises UsageError: the name is not one that the hub could have.
        :raises ArtifactError: the folder was damaged.
        :raises HubError: no token, one that may not write there, or a hub that cannot be reached.
        """
        from replank.models.push import push, require_name  # with huggingface_hub, which takes its time

        require_name(name)
        return push(Artifact.open(self.path).manifest, self.path, name, private=private, revision=revision)


@contextmanager
def new_artifact(out: Path, *, force: bool) -> Iterator[Path]:
    """A temporary sibling folder to fill and :func:`seal`; it becomes ``out`` when the block ends well.

    When the block raises, the folder is deleted and ``out`` is as it was.

    :param force: replace an artifact that is there, which is kept until the new one is whole.
    :raises UsageError: see :func:`require_free`; or another process writes it.
    :raises ArtifactError: the block did not seal the folder.
    :raises ReplankError: no folder can be made there.
    """
    _require_writable(out)
    with exclusive(out):
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
        raise UsageError(f"{out} is not empty", hint="choose another folder, or replace it with `force`")
    if not (out / MANIFEST).is_file() or _holds_other_folders(out):
        raise UsageError(
            f"{out} holds more than an artifact, and `force` replaces nothing else",
            hint="choose another folder, or delete this one yourself",
        )


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the model card and the manifest, with the digests of all files that lie in the folder.

    Whether the rows of its quality chose something about the model is found here, from the lineage.

    :raises ArtifactError: the folder does not hold exactly one model of the manifest's kind.
    """
    models = [name for name in MODEL_FILES.values() if (folder / name).exists()]
    if models != [MODEL_FILES[manifest.kind]]:
        raise ArtifactError(f"an artifact of kind {manifest.kind} cannot hold {models or 'no model'}")
    if manifest.quality:
        quality = replace(manifest.quality, chosen_on_it=manifest.chose_on(manifest.quality.data))
        manifest = replace(manifest, quality=quality)
    (folder / CARD).write_text(model_card(manifest), encoding="utf-8")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = {name: FileFacts(_sha256_file(folder / name), (folder / name).stat().st_size) for name in names}
    sealed = replace(manifest, files=files)
    (folder / MANIFEST).write_text(manifest_text(sealed.to_json()), encoding="utf-8")


def record_robustness(artifact: Artifact, robustness: Robustness) -> Artifact:
    """Write what was measured under attack into an artifact's manifest and model card; its digest stays as it is.

    :raises ArtifactError: the folder was damaged, or holds another artifact by now.
    """
    manifest = Artifact.open(artifact.path).manifest
    if manifest.digest != artifact.manifest.digest:
        raise ArtifactError(f"{artifact.path} holds another artifact by now")
    told = replace(manifest, robustness=robustness, sealed_card=manifest.sealed_card or manifest.files[CARD])
    with new_artifact(artifact.path, force=True) as folder:
        for name in manifest.files.keys() - {CARD}:
            _link(artifact.path / name, folder / name)
        (folder / CARD).write_text(model_card(told), encoding="utf-8")
        card = FileFacts(_sha256_file(folder / CARD), (folder / CARD).stat().st_size)
        sealed = replace(told, files={**manifest.files, CARD: card})
        (folder / MANIFEST).write_text(manifest_text(sealed.to_json()), encoding="utf-8")
    return Artifact.open(artifact.path)


def _link(file: Path, place: Path) -> None:
    """The same file in another place, where the file system can do that; else a copy."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copy2(file, place)


def _check_names(folder: Path, manifest: Manifest) -> None:
    """Make sure that what is read lies in the folder and is listed, and that nothing else could be read."""
    for name in manifest.files:
        folder_of, _, file = name.rpartition("/")
        # A module of sentence-transformers has its settings in a folder of its own.
        is_setting = _is_plain_name(folder_of) and file == "config.json"
        if not (_is_plain_name(name) or is_setting):
            raise ArtifactError(f"{folder / MANIFEST} lists {name!r}; expected names of files in the folder")
    if MODEL_FILES[manifest.kind] not in manifest.files:
        raise ArtifactError(
            f"{folder / MANIFEST} lists no {MODEL_FILES[manifest.kind]}: nothing would be checked",
            hint="make the artifact again with the stage that wrote it",
        )
    nested = (file for name in _listed_folders(manifest) for file in (folder / name).glob("*"))
    for path in sorted([*folder.iterdir(), *nested]):
        name = path.relative_to(folder).as_posix()
        if path.suffix in _READ_SUFFIXES and name not in manifest.files and name != MANIFEST:
            raise ArtifactError(
                f"{path} is no file of the artifact, and may change what the model answers",
                hint="move it elsewhere; what belongs to an artifact is listed in its manifest",
            )


def _is_plain_name(name: str) -> bool:
    return PurePosixPath(name).name == name and name not in ("", "..")


def _holds_other_folders(out: Path) -> bool:
    """Whether an artifact's folder has folders, or files in them, that its manifest does not list."""
    folders = [path for path in out.iterdir() if path.is_dir()]
    if not folders:
        return False
    inside = {path.relative_to(out).as_posix() for folder in folders for path in folder.rglob("*")}
    try:
        manifest = read_manifest(out)
    except ArtifactError:
        return True
    return not ({folder.name for folder in folders} <= _listed_folders(manifest) and inside <= manifest.files.keys())


def _listed_folders(manifest: Manifest) -> set[str]:
    return {PurePosixPath(name).parts[0] for name in manifest.files if "/" in name}


def _check_file(file: Path, expected: FileFacts) -> None:
    if not file.is_file():
        raise ArtifactError(f"{file} is missing", hint="copy the whole folder, or make the artifact again")
    if file.stat().st_size != expected.bytes or _sha256_file(file) != expected.sha256:
        raise ArtifactError(
            f"{file} is damaged: its sha256 is not the manifest's",
            hint="copy it again, or make the artifact again",
        )


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
