"""The bodies of requests and answers of the Open Inference Protocol, version 2."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from replank_serve.routes.schema import Text

Strings = list[Text] | list[list[Text]]


class TensorMetadata(BaseModel):
    """One input or output; -1 stands for any number of texts."""

    name: str
    datatype: Literal["BYTES", "FP32"]
    shape: list[int]


class ServerMetadata(BaseModel):
    """What serves."""

    name: str
    version: str
    extensions: list[str]


class ModelMetadata(BaseModel):
    """What a model takes and gives."""

    name: str
    versions: list[str] = Field(description="The digest of the artifact; only what is loaded is served.")
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InputTensor(BaseModel, strict=True):
    """Texts."""

    name: Text
    datatype: Literal["BYTES"]
    shape: list[int] = Field(min_length=1, max_length=2, description="`[texts]` or `[texts, 1]`.")
    data: Strings
    parameters: dict[str, Any] = Field(default_factory=dict, description="None has an effect.")


class OutputRequest(BaseModel, strict=True):
    """An output that is wanted."""

    name: Text
    parameters: dict[str, Any] = Field(default_factory=dict, description="None has an effect.")


class InferRequest(BaseModel, strict=True):
    """Texts for a model: the tensor `text`, and of pairs `text_pair`."""

    id: Text | None = None
    parameters: dict[str, Any] = Field(default_factory=dict, description="None has an effect.")
    inputs: list[InputTensor] = Field(min_length=1, max_length=2)
    outputs: list[OutputRequest] | None = Field(None, description="Which to answer with; all where none is named.")


class OutputTensor(TensorMetadata):
    """Answers: the `label` of each text, and the `scores` of all labels in the model's order; or the `value`."""

    data: list[str] | list[float]


class InferResponse(BaseModel):
    """A model's answers."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]
