"""The routes for inference: labels of texts, labels of words, embeddings, tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from replank.runtime.pooling import pool
from replank.runtime.tagging import tag_text
from replank.system.errors import UsageError
from replank.tasks.kinds.kind import Route
from replank.tasks.task import Task
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens
from replank.text.words import join_words
from replank_serve.engine.inference import Inference
from replank_serve.models.loaded_model import LoadedModel
from replank_serve.routes.openapi import described_body, post
from replank_serve.routes.request_parsing import (
    Inputs,
    as_inputs,
    expected_inputs,
    model_named,
    read_body_as,
    require_few,
)
from replank_serve.routes.schema import EmbedRequest, PredictRequest, ScoreBody, TaggedBody, TextsRequest, TokenBody
from replank_serve.routes.service import InferenceService, answer

_TIMES = (
    "The headers x-tokenization-time, x-queue-time and x-inference-time (milliseconds), x-batch-size and "
    "x-compute-tokens tell where the time went."
)


def add_inference(app: FastAPI, service: InferenceService, task: Task) -> None:
    """Add ``/predict``, ``/ner``, ``/embed`` and ``/tokenize``.

    :param task: the task of the default model, for the examples.
    """
    _add_predict(app, service, task)
    _add_ner(app, service)
    _add_embed(app, service)
    _add_tokenize(app, service, task)


def _add_predict(app: FastAPI, service: InferenceService, task: Task) -> None:
    @post(
        app,
        "/predict",
        summary="Classify texts or pairs",
        description="One input is answered with its labels, the likeliest first; a list of inputs with a "
        f"list of such answers. {_TIMES}",
        openapi_extra=described_body(PredictRequest, _examples(task, {"top": 1})),
        response_description="labels and scores",
        response_model=list[ScoreBody] | list[list[ScoreBody]],
    )
    async def predict(request: Request) -> Response:
        answered = await _answer(service, request, PredictRequest, "/predict")
        task = answered.loaded.model.task
        scores = [row[: answered.body.top] for row in task.kind.scores(task.labels, answered.inference.logits)]
        return answer(scores if answered.many else scores[0], answered.loaded, answered.inference)


def _add_ner(app: FastAPI, service: InferenceService) -> None:
    one, other = "Ada Lovelace writes to London.", "Grace wrote a compiler."

    @post(
        app,
        "/ner",
        summary="Label the words of texts",
        description="For models of token classification: each word with its likeliest label, and the entities that "
        f"B-… and I-… labels make of them. {_TIMES}",
        openapi_extra=described_body(TextsRequest, _one_and_many(one, [one, other], "One text", {})),
        response_description="words and entities",
        response_model=TaggedBody | list[TaggedBody],
    )
    async def ner(request: Request) -> Response:
        answered = await _answer(service, request, TextsRequest, "/ner")
        found = zip(answered.inputs.first, answered.inference.tokens, answered.inference.rows, strict=True)
        tagged = [tag_text(answered.loaded.model.task, text, tokens, logits) for text, tokens, logits in found]
        return answer(tagged if answered.many else tagged[0], answered.loaded, answered.inference)


def _add_embed(app: FastAPI, service: InferenceService) -> None:
    one, other = "A moving and funny film.", "A dull one."

    @post(
        app,
        "/embed",
        summary="Turn texts into vectors",
        description=f"For models exported without their head: one vector for each text, always as a list. {_TIMES}",
        openapi_extra=described_body(EmbedRequest, _one_and_many(one, [one, other], "One text", {})),
        response_description="vectors",
        response_model=list[list[float]],
    )
    async def embed(request: Request) -> Response:
        answered = await _answer(service, request, EmbedRequest, "/embed")
        asked = answered.loaded.model.task.vector_settings.asked(answered.body.pooling, answered.body.normalize)
        rows = answered.inference.rows
        vectors = [pool(row, asked.pooling, normalize=asked.normalize).tolist() for row in rows]
        return answer(vectors, answered.loaded, answered.inference)


def _add_tokenize(app: FastAPI, service: InferenceService, task: Task) -> None:
    @post(
        app,
        "/tokenize",
        summary="Show the tokens of texts or pairs",
        description="As the model reads them: truncated to its length, with special tokens.",
        openapi_extra=described_body(TextsRequest, _examples(task, {})),
        response_description="tokens",
        response_model=list[TokenBody] | list[list[TokenBody]],
    )
    async def tokenize(request: Request) -> Response:
        values, deadline = await service.read(request)
        with service.models.get(model_named(values)).use() as loaded:
            task = loaded.model.task
            _, inputs = _read(TextsRequest, values, task, service.config.max_texts)
            tokens = await service.tokenize(request, loaded, _as_read(inputs, task), deadline)
            encoder = loaded.model.text_encoder
        special = set(encoder.special_ids)
        rows = [_token_bodies(encoder, special, row) for row in tokens]
        content = orjson.dumps(rows if inputs.many else rows[0])
        return Response(content, headers={"x-model": loaded.name}, media_type="application/json")


@dataclass(frozen=True)
class _Answered:
    """A request with a model's answer.

    :param inputs: as in the request.
    """

    loaded: LoadedModel
    body: Any
    inputs: Inputs
    inference: Inference

    @property
    def many(self) -> bool:
        """Whether the response is a list of answers."""
        return self.inputs.many


async def _answer(service: InferenceService, request: Request, form: type[TextsRequest], route: Route) -> _Answered:
    """Answer a request with the model that it names.

    :param route: the route of the request.
    """
    values, deadline = await service.read(request)
    with service.models.get(model_named(values)).use() as loaded:
        task = loaded.model.task
        if task.kind.route != route:
            raise UsageError(f"the model {loaded.name} {task.kind.serves}; POST {task.kind.route} asks it")
        body, inputs = _read(form, values, task, service.config.max_texts)
        inference = await service.infer(request, loaded, _as_read(inputs, task), deadline)
    return _Answered(loaded, body, inputs, inference)


def _read(form: type[TextsRequest], values: dict[str, Any], task: Task, max_texts: int) -> tuple[Any, Inputs]:
    """The validated body of a request, and its inputs in the task's shape."""
    require_few(values, max_texts)
    body = read_body_as(form, values, expected_inputs(task))
    return body, as_inputs(body.inputs, task, max_texts)


def _as_read(inputs: Inputs, task: Task) -> Inputs:
    """The inputs as the model reads them; for token classification, words joined by single spaces."""
    if not task.kind.is_per_word:
        return inputs
    return Inputs([join_words(text.split()) for text in inputs.first], None, inputs.many)


def _token_bodies(encoder: TextEncoder, special: set[int], tokens: Tokens) -> list[dict[str, Any]]:
    return [
        {"id": token, "text": encoder.token(token), "special": token in special, "segment": segment}
        for token, segment in zip(tokens.ids, tokens.type_ids, strict=True)
    ]


def _examples(task: Task, more: dict[str, Any]) -> dict[str, Any]:
    """Example requests for a task."""
    one: Any = ["How old are you?", "What is your age?"] if task.is_pair else "What a wonderful film!"
    other: Any = ["It rains.", "The sun shines."] if task.is_pair else "I want my money back."
    return _one_and_many(one, [one, other], "One pair" if task.is_pair else "One text", more)


def _one_and_many(one: Any, many: list[Any], summary: str, more: dict[str, Any]) -> dict[str, Any]:
    several = "Several, likeliest label only" if more else "Several"
    return {
        "one": {"summary": summary, "value": {"inputs": one}},
        "many": {"summary": several, "value": {"inputs": many} | more},
    }
