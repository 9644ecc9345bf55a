"""The weights of a model: the files that hold them, which are its size and, without a manifest, its identity."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePath

from replank.models.manifest import MODEL_FILES, ArtifactKind
from replank.models.onnx_file import external_files
from replank.models.safetensors_file import StoredTensor, shard_names, stored_tensors
from replank.system.errors import ModelError

# What a model attends to beside its texts, if it does: a file beside its weights.
REFERENCES = "references.safetensors"
# The key of `config.json` that holds the digest of that file's content.
REFERENCES_KEY = "replank_references"
_CHUNK_BYTES = 2**20
_LFS_POINTER = b"version https://git-lfs"
# What transformers writes instead of one file where a model is large.
_SHARDS = "model.safetensors.index.json"
# Where Optimum and sentence-transformers put the graph of a repository that holds safetensors too.
HUB_GRAPH = "onnx/model.onnx"


@dataclass(frozen=True)
class Weights:
    """Files in a model's folder: the graph, the tensors or the list of shards first, then those that it names.

    :param references: the bank of references, of a model that has one.
    """

    files: tuple[Path, ...]
    references: Path | None = None

    @classmethod
    def of(cls, folder: Path, kind: ArtifactKind, file: str | None = None) -> Weights:
        """The weights in a folder.

        :param file: the graph's place in it, where it is not the usual one.
        :raises ModelError: the graph or the list of shards cannot be read, or names a file that is not there or lies
            elsewhere.
        """
        model = model_file(folder, kind) if file is None else folder / file
        beside = external_names(model) if kind == "onnx" else shard_names(model) if model.name == _SHARDS else []
        files = (model, *(model.parent / name for name in beside))
        bank = folder / REFERENCES if (folder / REFERENCES).exists() else None
        for path in (*files, *([bank] if bank else [])):
            if not path.is_file():
                raise ModelError(
                    f"{folder} has no {path.name}, which holds weights of {model.name}",
                    hint=f"copy {path.name} too, from where {model.name} was",
                )
            require_content(path)
        return cls(files, bank)

    @property
    def bytes(self) -> int:
        """The size of all files, references too; the tokenizer is no part of a model's size."""
        return sum(file.stat().st_size for file in self._all)

    @property
    def parameter_bytes(self) -> int:
        """The size of the files without references."""
        return sum(file.stat().st_size for file in self.files)

    def tensors(self) -> dict[str, StoredTensor]:
        """The tensors of a torch model by name, without their values.

        :raises ModelError: a file is damaged.
        """
        files = [file for file in self.files if file.suffix == ".safetensors"]
        return {name: tensor for file in files for name, tensor in stored_tensors(file).items()}

    @property
    def digest(self) -> str:
        """The sha256 of all files in turn."""
        digest = hashlib.sha256()
        for path in self._all:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
        return digest.hexdigest()

    @property
    def _all(self) -> tuple[Path, ...]:
        return (*self.files, *([self.references] if self.references else []))


def model_file(folder: Path, kind: ArtifactKind) -> Path:
    """The file that a model is opened by: the graph to run, the tensors, or the list of their shards.

    A graph lies in the folder itself or, as on the hub, in ``onnx``.
    """
    usual = folder / MODEL_FILES[kind]
    other = folder / {"torch": _SHARDS, "onnx": HUB_GRAPH}[kind]
    return other if other.is_file() and not usual.exists() else usual


def kind_of_weights(folder: Path) -> ArtifactKind | None:
    """The kind of model that a folder holds, torch first; ``None`` if it has no weights that replank reads."""
    kinds: tuple[ArtifactKind, ...] = ("torch", "onnx")
    return next((kind for kind in kinds if model_file(folder, kind).is_file()), None)


def external_names(graph: Path) -> list[str]:
    """The names of the files beside a graph that hold weights of it.

    :raises ModelError: the graph cannot be read, or names a file that does not lie beside it.
    """
    try:
        names = external_files(graph)
    except (EOFError, ValueError):
        raise ModelError(f"{graph} is damaged: it is cut off or no ONNX graph", hint="copy it again") from None
    for name in names:
        if name in ("", ".", "..") or str(PurePath(name)) != PurePath(name).name:
            raise ModelError(f"{graph} keeps weights in {name!r}; expected a file beside it", hint="export it again")
    return [PurePath(name).name for name in names]


def require_content(file: Path) -> None:
    """Refuse a pointer of Git LFS in the place of a large file.

    :raises ModelError: it is one.
    """
    with file.open("rb") as content:
        if content.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise ModelError(
                f"{file} is a pointer of Git LFS, not the file that it points to", hint="fetch it: git lfs pull"
            )
