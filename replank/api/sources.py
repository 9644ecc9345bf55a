"""What the functions of the interface take as a model, and as its data where none is given."""

from __future__ import annotations

from pathlib import Path

from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import Source, open_source
from replank.system.errors import UsageError
from replank.tasks.glue import GLUE

# A model folder, a hub name, or an artifact that a stage returned.
NamedModel = str | Path | Artifact
# One of these, or what `open_model` gave.
ModelLike = NamedModel | Source


def open_model(model: str | Path, file: str | None = None) -> Source:
    """Open a model that has several ONNX graphs, by one of them, for the functions that take one model.

    >>> model = replank.load(replank.open_model("plain", "onnx/model_int8.onnx"))

    :param model: a plain folder or a hub name.
    :param file: the graph's place there. Without it, the order is ``model.safetensors``, ``model.onnx`` and
        ``onnx/model.onnx``.
    :raises ModelError: there is no such graph, or no model.
    """
    return open_source(model, file)


def source_of(model: ModelLike) -> Source:
    """A model, understood whole."""
    if isinstance(model, Source):
        return model
    return open_source(model.path if isinstance(model, Artifact) else model)


def has_own_data(source: Source) -> bool:
    """Whether a model was made for a data set that goes by a name that everybody knows."""
    return source.artifact is not None and source.task.name in GLUE


def own_data(source: Source) -> DataConfig:
    """The data set that a model was made for, where it goes by a name that everybody knows.

    :raises UsageError: it does not.
    """
    if has_own_data(source):
        return DataConfig(dataset=source.task.name)
    raise UsageError("no data given", hint="`dataset=NAME` (GLUE), `data=FOLDER`, or `dev=FILE`")
