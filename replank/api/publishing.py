"""What takes artifacts elsewhere: to the hub, into Triton's repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from replank.api.sources import ModelLike, NamedModel, source_of
from replank.models.artifact import Artifact

if TYPE_CHECKING:
    from replank_export.triton import TritonConfig


def push_to_hub(model: NamedModel, name: str, *, private: bool = False, revision: str | None = None) -> str:
    """Upload an artifact with its model card and manifest to the Hugging Face hub, in one commit.

    >>> replank.push_to_hub("int8", "me/my-model", private=True)

    :param name: ``owner/name``.
    :returns: the address of the commit.
    :raises HubError: no token, one that may not write there, or no network.
    """
    artifact = model if isinstance(model, Artifact) else Artifact.open(Path(model))
    return artifact.push_to_hub(name, private=private, revision=revision)


def triton(
    model: ModelLike, repository: str | Path, config: TritonConfig | None = None, *, force: bool = False
) -> Path:
    """Put an ONNX model into a model repository of the Triton Inference Server.

    >>> replank.triton("int8", "repository").name
    'int8'

    :returns: the model's folder in it.
    """
    from replank_export.triton import TritonConfig, write_repository

    return write_repository(source_of(model), Path(repository), config or TritonConfig(), force=force)
