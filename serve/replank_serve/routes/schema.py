"""The bodies of requests and answers of the native routes, as `/docs` shows them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from replank.runtime.pooling import Pooling
from replank.runtime.providers import Device
from replank.text.unicode import without_lone_surrogates


def _without_lone_surrogates(value: object) -> object:
    """JSON can spell half a character, and clients that cut texts in two do send it; it becomes U+FFFD."""
    return without_lone_surrogates(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_without_lone_surrogates)]
ModelName = Annotated[str | None, Field(description="Which of the loaded models; the first where none is named.")]


class Request(BaseModel):
    """A body whose fields are of the described types, with no other fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TextsRequest(Request):
    """One text or pair, or a list of them."""

    inputs: Text | list[Text] | list[Annotated[list[Text], Field(max_length=2)]] = Field(
        description="A text, or a list of texts; where the task compares two texts, a pair `[first, second]` "
        "or a list of pairs."
    )
    model: ModelName = None


class PredictRequest(TextsRequest):
    """One text or pair, or a list of them, to classify."""

    top: int | None = Field(None, ge=1, description="How many labels to answer with; all by default.")


class EmbedRequest(TextsRequest):
    """One text, or a list of them, to turn into vectors."""

    pooling: Pooling = Field("mean", description="The mean of all tokens, or the first one's vector.")
    normalize: bool = Field(True, description="Whether to scale vectors to length one.")


class LoadRequest(Request):
    """A model to load."""

    folder: Text = Field(description="An artifact folder on the server's machine.")


class ScoreBody(BaseModel):
    """One label and its probability; of a regression task the number, under the label `value`."""

    label: str
    score: float


class TokenBody(BaseModel):
    """One token as the model reads it."""

    id: int
    text: str
    special: bool = Field(description="Whether it stands for no text, as [CLS] does.")
    segment: int = Field(description="0, or 1 within the second text of a pair.")


class WordBody(BaseModel):
    """One word, as white space cuts them."""

    text: str
    start: int = Field(description="Its first character in the text.")
    end: int = Field(description="The character after its last.")
    label: str | None = Field(description="Null beyond the length that the model reads.")
    score: float | None


class EntityBody(BaseModel):
    """Words that the labels B-… and I-… put together."""

    label: str
    text: str
    start: int
    end: int
    score: float = Field(description="That of its least certain word.")


class TaggedBody(BaseModel):
    """One text with its words labelled."""

    words: list[WordBody]
    entities: list[EntityBody] = Field(description="Empty where the labels are no B-…, I-… and O.")


class ErrorBody(BaseModel):
    """Every answer that is not a success."""

    error: str
    error_type: str
    request_id: str


class StatusBody(BaseModel):
    """The answer of a probe."""

    status: str


class TaskInfo(BaseModel):
    """What the model was made for."""

    name: str
    kind: str
    route: str | None = Field(description="The route that asks it.")
    labels: list[str]
    columns: list[str]
    is_pair: bool


class Limits(BaseModel):
    """What one request may ask for, and how much may wait for one model."""

    max_texts: int
    max_body_bytes: int
    max_batch: int
    max_batch_tokens: int
    max_queue_tokens: int
    timeout_seconds: float


class ModelBody(BaseModel):
    """One of the loaded models."""

    name: str
    model: str = Field(description="The name of its folder, or on the hub.")
    digest: str | None = Field(description="sha256 of the artifact's manifest; null for a plain model folder.")
    state: str = Field(description="`ready`, or what it does instead.")


class Info(ModelBody):
    """A model, its task, and the limits of this server."""

    models: list[str] = Field(description="The names of all loaded models; the first answers where none is named.")
    kind: Literal["torch", "onnx"]
    precision: str
    layers: int
    device: Device
    provider: str | None = Field(description="ONNX Runtime's name of the execution provider; null for a torch model.")
    arithmetic: str = Field(description="What the numbers are computed in; that of the weights is precision.")
    max_length: int = Field(description="Tokens; longer texts are truncated.")
    task: TaskInfo
    quality: dict[str, float] | None = Field(description="Metrics as measured on this model, as fractions.")
    limits: Limits
    versions: dict[str, str]
