"""The request and response bodies of the native routes, as `/docs` shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from replank.runtime.providers import Device
from replank.tasks.vectors import Pooling
from replank.text.unicode import without_lone_surrogates
from replank_serve.routes.contents import Function


def _without_lone_surrogates(value: object) -> object:
    """Replace lone surrogates by U+FFFD: JSON can escape them, and clients that cut texts in two do send them."""
    return without_lone_surrogates(value) if isinstance(value, str) else value


def _refused(reason: str) -> BeforeValidator:
    """A validator of a known field that cannot be obeyed: only its absence is."""

    def check(value: object) -> object:
        if value is not None:
            raise PydanticCustomError("refused", "{reason}", {"reason": reason})
        return value

    return BeforeValidator(check)


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


class EmbeddingsRequest(BaseModel, strict=True):
    """One text, or a list of them, to turn into vectors, as OpenAI's clients ask; unknown fields are ignored."""

    input: Text | list[Text] = Field(description="A text, or a list of texts; tokens are not taken.")
    model: ModelName = None
    encoding_format: Literal["float", "base64"] = Field("float", description="Lists of numbers, or their bytes.")
    dimensions: int | None = Field(None, ge=1, description="The first so many numbers only, for models made for it.")
    prompt_name: str | None = Field(None, description="The model's prompt to put before each text; else its default.")
    user: str | None = Field(None, description="Of no meaning here.")


class RerankRequest(BaseModel, strict=True):
    """A query and passages, as text-embeddings-inference takes them; unknown fields are ignored."""

    query: Text
    texts: list[Text]
    model: ModelName = None
    raw_scores: bool = Field(False, description="Logits instead of probabilities.")
    return_text: bool = Field(False, description="Repeat each passage in the answer.")
    truncate: bool | None = Field(None, description="False refuses texts that are too long; by default they are cut.")
    truncation_direction: Literal["right", "Right"] = Field("right", description="Texts are cut at their end.")


class Document(BaseModel, strict=True):
    """A passage as an object."""

    text: Text


class DocumentsRequest(BaseModel, strict=True):
    """A query and documents, as Cohere and Jina take them; unknown fields are ignored."""

    query: Text
    documents: list[Text | Document]
    model: ModelName = None
    top_n: int | None = Field(None, ge=1, description="The number of documents to return; all by default.")
    return_documents: bool = Field(False, description="Repeat each document in the answer.")
    raw_scores: bool = Field(False, description="Logits instead of probabilities.")
    truncate: bool | None = Field(None, description="False refuses texts that are too long; by default they are cut.")

    @property
    def contents(self) -> list[str]:
        """The text of each document."""
        return [document if isinstance(document, str) else document.text for document in self.documents]


class HubClassificationRequest(InferenceRequest):
    """One text or pair, or a list of them, to classify, as `InferenceClient.text_classification` asks."""

    top_k: int | None = Field(None, ge=1, description="The number of labels to return; all by default.")
    function_to_apply: Function | None = Field(None, description="To the logits; by default the model's own.")


class HubTokenClassificationRequest(InferenceRequest):
    """One text, or a list of them, to find entities in, as `InferenceClient.token_classification` asks."""

    aggregation_strategy: Literal["first"] | None = Field(
        None, description="A word has the label of its first token, and words of one entity are joined."
    )
    ignore_labels: list[Text] = Field(["O"], max_length=1000, description="Labels that are left out.")
    stride: Annotated[None, _refused("long texts are cut, not read in overlapping parts")] = Field(
        None, description="Only null: long texts are cut."
    )


class HubSimilarityInputs(BaseModel, strict=True):
    """Sentences to compare with one, as `InferenceClient.sentence_similarity` sends them."""

    source_sentence: Text
    sentences: list[Text]


class HubRequest(BaseModel):
    """A request in the shape of the Hugging Face Inference API."""

    inputs: Any = Field(
        description="As the model's own route takes them; for vectors also `{source_sentence, sentences}`."
    )
    parameters: dict[str, Any] | None = Field(
        None,
        description="`top_k` and `function_to_apply` (softmax, sigmoid, none) to classify; `aggregation_strategy` "
        "(first) and `ignore_labels` for words; `normalize` and `dimensions` for vectors; `truncate` for all. They may "
        "stand beside `inputs` too.",
    )
    model: ModelName = None


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


class RankedBody(BaseModel):
    """A passage's place in the request, and its score."""

    index: int
    score: float
    text: str | None = Field(None, description="With `return_text` only.")


class RankedDocumentBody(BaseModel):
    """A document's place in the request, and its score."""

    index: int
    relevance_score: float
    document: Document | None = Field(None, description="With `return_documents` only.")


class RankedUsage(BaseModel):
    """The tokens that were read."""

    total_tokens: int


class RankedDocumentsBody(BaseModel):
    """Ranked documents, in the shape of Cohere and Jina."""

    id: str
    model: str
    results: list[RankedDocumentBody]
    usage: RankedUsage


class EntityGroupBody(BaseModel):
    """An entity, as `InferenceClient.token_classification` reads it."""

    entity_group: str
    score: float = Field(description="The mean of its words' scores.")
    word: str
    start: int
    end: int


class RelationsRequest(BaseModel, strict=True):
    """A question to the knowledge graph: two of its three parts are named, one is `?`."""

    model: ModelName = None
    head: Text = Field("?", description="The name or identifier of an entity, or `?`.")
    relation: Text = Field("?", description="The name or identifier of a relation, or `?`.")
    tail: Text = Field("?", description="The name or identifier of an entity, or `?`.")
    top: int = Field(10, ge=1, le=1000, description="The number of answers to return.")


class RankedTripleBody(BaseModel):
    """A candidate."""

    head: str
    relation: str
    tail: str
    score: float = Field(description="The probability that it is right, by its best path.")
    known: bool = Field(description="Whether the graph holds it.")
    path: list[list[str]] = Field(description="Head, relation and tail of each edge of the path that spoke for it.")


class RelationsBody(BaseModel):
    """The candidates, the likeliest first."""

    answers: list[RankedTripleBody]


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
    route: str | None = Field(description="The route for its requests.")
    answers: str = Field(description="Its answers in words, such as `2 labels (bad, good)`.")
    labels: list[str]
    thresholds: dict[str, float] | None = Field(
        description="Where several labels may hold, the probability from which each does; else null."
    )
    columns: list[str]
    is_pair: bool


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
