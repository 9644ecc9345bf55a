"""The route of Hugging Face's Inference API, ``POST /``, whose shapes depend on the model's task.

``huggingface_hub.InferenceClient(model="http://…")`` asks it. https://huggingface.co/docs/inference-providers/tasks
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from replank.system.errors import UsageError
from replank_serve.http.body import Deadline
from replank_serve.models.loaded_model import LoadedModel
from replank_serve.routes.answered import Answered, answered_by
from replank_serve.routes.contents import entity_groups, filling_bodies, label_scores
from replank_serve.routes.fill_mask_schema import FillingBody
from replank_serve.routes.hub_schema import (
    EntityGroupBody,
    HubClassificationRequest,
    HubFillMaskRequest,
    HubRequest,
    HubSimilarityInputs,
    HubTokenClassificationRequest,
    HubZeroShotBody,
)
from replank_serve.routes.openapi import described_body, post
from replank_serve.routes.request_parsing import ignored_fields, model_named, read_body_as, too_many
from replank_serve.routes.schema import EmbedRequest, InferenceRequest, ScoreBody
from replank_serve.routes.service import InferenceService, answer
from replank_serve.routes.zero_shot import judged
from replank_serve.routes.zero_shot_schema import ZeroShotRequest


def add_hub(app: FastAPI, service: InferenceService) -> None:
    """Add ``POST /``."""
    text = "What a wonderful film!"
    examples = {
        "text": {"summary": "One text", "value": {"inputs": text}},
        "parameters": {"summary": "With parameters", "value": {"inputs": text, "parameters": {"truncate": True}}},
    }

    @post(
        app,
        "/",
        summary="Ask a model as huggingface_hub's InferenceClient does",
        description="Labels of a text, always as a list of lists; entities in its words; its vector; tokens for its "
        "mask; or, with `candidate_labels` among the parameters, how much it entails each.",
        openapi_extra=described_body(HubRequest, examples),
        response_description="labels, entities, vectors, or tokens",
        response_model=list[list[ScoreBody]]
        | list[EntityGroupBody]
        | list[list[EntityGroupBody]]
        | list[list[float]]
        | list[float]
        | list[FillingBody]
        | list[list[FillingBody]]
        | HubZeroShotBody
        | list[HubZeroShotBody],
    )
    async def ask(request: Request) -> Response:
        values, deadline = await service.read(request)
        with service.models.get(model_named(values)).use() as loaded:
            if _asks_labels(values):
                return await _judged(service, request, loaded, values, deadline)
            form, reply = _reply_of(loaded)
            if form is EmbedRequest and isinstance(values.get("inputs"), dict):
                values["inputs"], reply = _compared(values["inputs"], service.config.max_texts), _similarities
            values = _with_parameters(values, form)
            return reply(await answered_by(loaded, service, request, form, values, deadline))


Reply = Callable[[Answered], Response]


def _reply_of(loaded: LoadedModel) -> tuple[type[InferenceRequest], Reply]:
    """The form of requests to a model, and the function that answers them."""
    replies: dict[str | None, tuple[type[InferenceRequest], Reply]] = {
        "/predict": (HubClassificationRequest, _labels),
        "/ner": (HubTokenClassificationRequest, _entities),
        "/embed": (EmbedRequest, _vectors),
        "/fill-mask": (HubFillMaskRequest, _fillings),
    }
    return replies[loaded.model.task.kind.route]


def _labels(answered: Answered) -> Response:
    body, task = answered.body, answered.loaded.model.task
    scores = label_scores(task, answered.inference.logits, body.function_to_apply)
    return answered.response([row[: body.top_k] for row in scores], always_many=True)


def _entities(answered: Answered) -> Response:
    pairs = zip(answered.inputs.first, answered.tagged(), strict=True)
    labels, ignored = answered.loaded.model.task.labels, answered.body.ignore_labels
    return answered.response([entity_groups(labels, text, tagged, ignored) for text, tagged in pairs])


def _vectors(answered: Answered) -> Response:
    return answered.response(answered.vectors().tolist(), always_many=True)


def _fillings(answered: Answered) -> Response:
    """The tokens of a text's mask; of each, where it has several."""
    texts = [[filling_bodies(found) for found in masks] for masks in answered.filled(answered.body.top_k)]
    return answered.response([masks[0] if len(masks) == 1 else masks for masks in texts])


def _asks_labels(values: dict[str, Any]) -> bool:
    """Whether a request has labels of its own, as `InferenceClient.zero_shot_classification` sends them."""
    parameters = values.get("parameters")
    return "candidate_labels" in values or (isinstance(parameters, dict) and "candidate_labels" in parameters)


async def _judged(
    service: InferenceService, request: Request, loaded: LoadedModel, values: dict[str, Any], deadline: Deadline
) -> Response:
    values = _with_parameters(values, ZeroShotRequest)
    texts, scores, inference = await judged(service, request, loaded, values, deadline)
    contents = [
        {"sequence": text, "labels": [found.label for found in row], "scores": [found.score for found in row]}
        for text, row in zip(texts.first, scores, strict=True)
    ]
    ignored = ignored_fields(ZeroShotRequest, values)
    return answer(contents if texts.many else contents[0], loaded, inference, ignored)


def _similarities(answered: Answered) -> Response:
    """The cosine of each sentence and the first one."""
    source, *others = answered.vectors()
    return answered.response([float(source @ other) for other in others], always_many=True)


def _compared(inputs: dict[str, Any], max_texts: int) -> list[str]:
    """The sentence that others are compared with, and the others."""
    sentences = inputs.get("sentences")
    if isinstance(sentences, list) and len(sentences) >= max_texts:
        raise too_many(1 + len(sentences), max_texts)
    body = read_body_as(HubSimilarityInputs, inputs, "source_sentence, a text, and sentences, a list of texts")
    return [body.source_sentence, *body.sentences]


def _with_parameters(values: dict[str, Any], form: type[BaseModel]) -> dict[str, Any]:
    """The values of a request with its parameters beside them.

    :raises UsageError: a parameter is unknown.
    """
    parameters = values.pop("parameters", None)
    if parameters is None:
        return values
    known = [name for name in form.model_fields if name not in ("inputs", "model")]
    if not isinstance(parameters, dict):
        raise UsageError("parameters: expected an object")
    for name in parameters:
        if name not in known:
            raise UsageError(f"parameters: {name[:40]!r} is not possible here; expected {', '.join(known)}")
    return values | parameters
