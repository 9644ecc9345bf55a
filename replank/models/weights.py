"""The weights of a model: the files that hold them, which are its size and, without a manifest, its identity."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePath

from replank.models.manifest import MODEL_FILES, ArtifactKind
from replank.models.onnx_file import external_files
from replank.system.errors import ModelError

_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Weights:
    """Files in a model's folder: the graph or the tensors first, then those that the graph names, sorted."""

    files: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path, kind: ArtifactKind) -> Weights:
        """The weights in a folder.

        :raises ModelError: the graph cannot be read, or names a file that is not there or lies elsewhere.
        """
        model = folder / MODEL_FILES[kind]
        files = (model, *(folder / name for name in external_names(model))) if kind == "onnx" else (model,)
        for file in files:
            if not file.is_file():
                raise ModelError(
                    f"{folder} has no {file.name}, which holds weights of {model.name}",
                    hint=f"copy {file.name} too, from where {model.name} was",
                )
        return cls(files)

    @property
    def bytes(self) -> int:
        """The size of all files; the tokenizer is no part of a model's size."""
        return sum(file.stat().st_size for file in self.files)

    @property
    def digest(self) -> str:
        """The sha256 of all files in turn."""
        digest = hashlib.sha256()
        for path in self.files:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
        return digest.hexdigest()


def external_names(graph: Path) -> list[str]:
    """The names of the files beside a graph that hold weights of it.

    :raises ModelError: the graph cannot be read, or names a file that does not lie beside it.
    """
    try:
        names = external_files(graph)
    except (EOFError, ValueError):
        raise ModelError(f"{graph} is damaged: it is cut off or no ONNX graph", hint="copy it again") from None
    for name in names:
        if not name or name == ".." or PurePath(name).name != name:
            raise ModelError(f"{graph} keeps weights in {name!r}; expected a file beside it", hint="export it again")
    return names
