"""The request and response bodies of the route in the shape of the OpenAI API, as `/docs` shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from replank_serve.routes.schema import ModelName, Text


class EmbeddingsRequest(BaseModel, strict=True):
    """One text, or a list of them, to turn into vectors, as OpenAI's clients ask; unknown fields are ignored."""

    input: Text | list[Text] = Field(description="A text, or a list of texts; tokens are not taken.")
    model: ModelName = None
    encoding_format: Literal["float", "base64"] = Field("float", description="Lists of numbers, or their bytes.")
    dimensions: int | None = Field(None, ge=1, description="The first so many numbers only, for models made for it.")
    prompt_name: str | None = Field(None, description="The model's prompt to put before each text; else its default.")
    user: str | None = Field(None, description="Of no meaning here.")


class EmbeddingBody(BaseModel):
    """The vector of a text."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class UsageBody(BaseModel):
    """The tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsBody(BaseModel):
    """The vectors of texts, in OpenAI's shape."""

    object: Literal["list"]
    data: list[EmbeddingBody]
    model: str
    usage: UsageBody
