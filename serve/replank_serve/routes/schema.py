"""The request and response bodies of the native routes, as `/docs` shows them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from replank.runtime.providers import Device
from replank.tasks.vectors import Pooling
from replank.text.unicode import without_lone_surrogates


def _without_lone_surrogates(value: object) -> object:
    """Replace lone surrogates by U+FFFD: JSON can escape them, and clients that cut texts in two do send them."""
    return without_lone_surrogates(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_without_lone_surrogates)]
ModelName = Annotated[str | None, Field(description="The name of a loaded model; the first one by default.")]


class TextsRequest(BaseModel, strict=True):
    """One text or pair, or a list of them; unknown fields are ignored, as text-embeddings-inference does."""

    inputs: Text | list[Text] | list[Annotated[list[Text], Field(max_length=2)]] = Field(
        description="A text, or a list of texts; for a task on pairs, a pair `[first, second]` or a list of pairs."
    )
    model: ModelName = None
    prompt_name: str | None = Field(
        None, description="The prompt to put before each text, of an embedding model's own; its default otherwise."
    )


class TokenizeRequest(TextsRequest):
    """One text or pair, or a list of them, to tokenize."""

    add_special_tokens: Literal[True] = Field(True, description="Tokens are shown as the model reads them.")


class InferenceRequest(TextsRequest):
    """One text or pair, or a list of them, for the model."""

    truncate: bool | None = Field(None, description="False refuses texts that are too long; by default they are cut.")
    truncation_direction: Literal["right", "Right"] = Field("right", description="Texts are cut at their end.")


class PredictRequest(InferenceRequest):
    """One text or pair, or a list of them, to classify."""

    top: int | None = Field(None, ge=1, description="The number of labels to return; all by default.")
    raw_scores: bool = Field(False, description="Logits instead of probabilities.")


class EmbedRequest(InferenceRequest):
    """One text, or a list of them, to turn into vectors."""

    pooling: Pooling | None = Field(None, description="How the tokens' vectors become one; the model's way by default.")
    normalize: bool | None = Field(None, description="Scale vectors to unit length; as the model does by default.")
    dimensions: int | None = Field(None, ge=1, description="The first so many numbers only, for models made for it.")
    encoding_format: Literal["float"] = Field("float", description="Vectors are lists of numbers.")


class LoadRequest(BaseModel):
    """A model to load; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    folder: Text = Field(description="A model folder below the server's model root: its path in it, or its own.")


class ScoreBody(BaseModel):
    """A label and its probability or logit; for a regression task, the number with the label `value`."""

    label: str
    score: float
    holds: bool | None = Field(
        None, description="Whether the probability reaches the label's threshold; only where several labels may hold."
    )


class TokenBody(BaseModel):
    """A token of the model's input."""

    id: int
    text: str
    special: bool = Field(description="Whether it is a special token, such as [CLS].")
    segment: int = Field(description="The token type id: 1 in the second text of a pair, else 0.")


class WordBody(BaseModel):
    """A word: punctuation and symbols are words of their own, unless they stand inside one, as in `e-mail`."""

    text: str
    start: int = Field(description="The index of its first character.")
    end: int = Field(description="The index after its last character.")
    label: str | None = Field(
        description="Null for words beyond the model's maximal length, and for characters that its tokenizer drops."
    )
    score: float | None


class EntityBody(BaseModel):
    """An entity: words that their labels put together."""

    label: str = Field(description="Its type, such as PER of B-PER; `_` where labels have none.")
    text: str
    start: int
    end: int
    score: float = Field(description="The score of its least certain word.")


class TaggedBody(BaseModel):
    """A text with labelled words."""

    words: list[WordBody]
    entities: list[EntityBody] = Field(
        description="By BIO, BIOES, BILOU or BMES labels, or runs of a label where there is an O; else none."
    )


class ErrorBody(BaseModel):
    """The body of every error response."""

    error: str
    error_type: str
    request_id: str


class StatusBody(BaseModel):
    """The response to a probe."""

    status: str


class TaskInfo(BaseModel):
    """The model's task."""

    name: str
    kind: str
    route: str = Field(description="The route for its requests.")
    answers: str = Field(description="Its answers in words, such as `2 labels (bad, good)`.")
    labels: list[str]
    thresholds: dict[str, float] | None = Field(
        description="Where several labels may hold, the probability from which each does; else null."
    )
    columns: list[str]
    is_pair: bool
    ranks: bool = Field(description="Whether POST /rerank ranks passages with it.")
    mask: str | None = Field(description="The token that stands where one is asked; null where masks are not filled.")


class Limits(BaseModel):
    """The limits of a request, and of one model's queue."""

    max_texts: int
    max_passages: int
    max_body_bytes: int
    max_batch: int
    max_batch_tokens: int
    max_queue_tokens: int
    timeout_seconds: float


class ModelBody(BaseModel):
    """A loaded model."""

    name: str
    model: str = Field(description="The name of its folder, or on the hub.")
    digest: str | None = Field(description="sha256 of the artifact's manifest; null for a plain model folder.")
    state: str = Field(description="The state of its engine, such as `ready`.")


class Info(ModelBody):
    """A model, its task, and the limits of the server."""

    models: list[str] = Field(description="The names of all loaded models; the first is the default.")
    kind: Literal["torch", "onnx"]
    precision: str
    layers: int
    device: Device
    provider: str | None = Field(description="ONNX Runtime's name of the execution provider; null for a torch model.")
    arithmetic: str = Field(description="The data type of the computation; `precision` is that of the weights.")
    batch_invariant: bool | None = Field(
        description="Whether an answer is the same whatever texts share its batch; null where it is not known."
    )
    max_length: int = Field(description="Tokens; longer texts are truncated.")
    task: TaskInfo
    graph: bool = Field(description="Whether POST /relations answers about a knowledge graph.")
    quality: dict[str, float] | None = Field(description="The model's measured metrics, as fractions.")
    limits: Limits
    versions: dict[str, str]
