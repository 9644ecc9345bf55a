"""The request and response bodies in the shape of the Hugging Face Inference API, as `/docs` shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from replank_serve.routes.contents import Function
from replank_serve.routes.fill_mask_schema import DEFAULT_TOP
from replank_serve.routes.schema import InferenceRequest, ModelName, Text


def _refused(reason: str) -> BeforeValidator:
    """A validator of a known field that cannot be obeyed: only its absence is."""

    def check(value: object) -> object:
        if value is not None:
            raise PydanticCustomError("refused", "{reason}", {"reason": reason})
        return value

    return BeforeValidator(check)


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


class HubFillMaskRequest(InferenceRequest):
    """One text, or a list of them, with masks, as `InferenceClient.fill_mask` asks."""

    top_k: int = Field(DEFAULT_TOP, ge=1, le=1000, description="The number of tokens for each mask.")
    targets: Annotated[None, _refused("tokens are those of the whole vocabulary")] = Field(
        None, description="Only null: the whole vocabulary is asked."
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
        "(first) and `ignore_labels` for words; `normalize` and `dimensions` for vectors; `top_k` for masks; "
        "`candidate_labels`, `hypothesis_template` and `multi_label` for labels of the request; `truncate` for all. "
        "They may stand beside `inputs` too.",
    )
    model: ModelName = None


class EntityGroupBody(BaseModel):
    """An entity, as `InferenceClient.token_classification` reads it."""

    entity_group: str
    score: float = Field(description="The mean of its words' scores.")
    word: str
    start: int
    end: int


class HubZeroShotBody(BaseModel):
    """Labels of the request by score, as `InferenceClient.zero_shot_classification` reads them."""

    sequence: str
    labels: list[str]
    scores: list[float]
