"""The request and response bodies of the Open Inference Protocol, version 2."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from replank_serve.routes.schema import Text

Strings = list[Text] | list[list[Text]]


class TensorMetadata(BaseModel):
    """An input or output tensor; -1 in its shape stands for the number of texts."""

    name: str
    datatype: Literal["BYTES", "FP32", "BOOL"]
    shape: list[int]


class ServerMetadata(BaseModel):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class ModelMetadata(BaseModel):
    """A model's inputs and outputs."""

    name: str
    versions: list[str] = Field(description="The digest of the loaded artifact, the only version.")
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InputTensor(BaseModel, strict=True):
    """A tensor of texts."""

    name: Text
    datatype: Literal["BYTES"]
    shape: list[int] = Field(min_length=1, max_length=2, description="`[texts]` or `[texts, 1]`.")
    data: Strings
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="`binary_data_size` in place of data: its bytes behind the JSON."
    )


class OutputRequest(BaseModel, strict=True):
    """A requested output."""

    name: Text
    parameters: dict[str, Any] = Field(default_factory=dict, description="`binary_data`: true for binary, or false.")


class InferRequest(BaseModel, strict=True):
    """Texts for a model: the tensor `text`, and for pairs also `text_pair`."""

    id: Text | None = None
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="`binary_data_output`: true for binary outputs; others are ignored."
    )
    inputs: list[InputTensor] = Field(min_length=1, max_length=2)
    outputs: list[OutputRequest] | None = Field(
        None, max_length=16, description="The outputs to return; all by default."
    )


class OutputTensor(TensorMetadata):
    """An output: the `label` of each text, the `scores` of all labels in the model's order, whether each `holds` where
    several may, or the `value`.
    """

    data: list[str] | list[float] | list[bool]


class InferResponse(BaseModel):
    """A model's answers."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]
