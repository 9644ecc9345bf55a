"""The routes for inference: labels of texts, labels of words, embeddings, tokens."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from replank.tasks.task import Task
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens
from replank_serve.routes.answered import answered_on, as_read, read_inputs
from replank_serve.routes.contents import label_scores
from replank_serve.routes.openapi import described_body, post
from replank_serve.routes.request_parsing import model_named
from replank_serve.routes.schema import (
    EmbedRequest,
    InferenceRequest,
    PredictRequest,
    ScoreBody,
    TaggedBody,
    TokenBody,
    TokenizeRequest,
)
from replank_serve.routes.service import InferenceService

_TIMES = (
    "The headers x-tokenization-time, x-queue-time and x-inference-time (milliseconds), x-batch-size and "
    "x-compute-tokens tell where the time went; x-truncated-texts counts texts that were longer than the model reads; "
    "x-ignored-fields names fields of the request that mean nothing."
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
        description="One input is answered with its labels, the likeliest first, and where several may hold with "
        f"whether each does; a list of inputs with a list of such answers. {_TIMES}",
        openapi_extra=described_body(PredictRequest, _examples(task, {"top": 1})),
        response_description="labels and scores",
        response_model=list[ScoreBody] | list[list[ScoreBody]],
    )
    async def predict(request: Request) -> Response:
        answered = await answered_on(service, request, PredictRequest, "/predict")
        body, logits = answered.body, answered.inference.logits
        scores = label_scores(answered.loaded.model.task, logits, "none" if body.raw_scores else None)
        return answered.response([row[: body.top] for row in scores])


def _add_ner(app: FastAPI, service: InferenceService) -> None:
    one, other = "Ada Lovelace writes to London.", "Grace wrote a compiler."

    @post(
        app,
        "/ner",
        summary="Label the words of texts",
        description="For models of token classification: each word with its likeliest label, and the entities that "
        "the labels make of them. Punctuation is a word of its own unless it stands inside one, as in `e-mail`; so is "
        f"a Chinese character, and a token of other scripts without spaces between words. {_TIMES}",
        openapi_extra=described_body(InferenceRequest, _one_and_many(one, [one, other], "One text", {})),
        response_description="words and entities",
        response_model=TaggedBody | list[TaggedBody],
    )
    async def ner(request: Request) -> Response:
        answered = await answered_on(service, request, InferenceRequest, "/ner")
        return answered.response(answered.tagged())


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
        answered = await answered_on(service, request, EmbedRequest, "/embed")
        return answered.response(answered.vectors().tolist(), always_many=True)


def _add_tokenize(app: FastAPI, service: InferenceService, task: Task) -> None:
    @post(
        app,
        "/tokenize",
        summary="Show the tokens of texts or pairs",
        description="As the model reads them: truncated to its length, with special tokens. Always a list, with the "
        "tokens of each text or pair.",
        openapi_extra=described_body(TokenizeRequest, _examples(task, {})),
        response_description="tokens",
        response_model=list[list[TokenBody]],
    )
    async def tokenize(request: Request) -> Response:
        values, deadline = await service.read(request)
        with service.models.get(model_named(values)).use() as loaded:
            task = loaded.model.task
            body, inputs = read_inputs(TokenizeRequest, values, task, service.config.max_texts)
            tokens = await service.tokenize(request, loaded, as_read(inputs, task, body.prompt_name), deadline)
            encoder = loaded.model.text_encoder
        special = set(encoder.special_ids)
        content = orjson.dumps([_token_bodies(encoder, special, row) for row in tokens])
        return Response(content, headers={"x-model": loaded.name}, media_type="application/json")


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
