"""The routes that ask a model: labels of texts, labels of words, tokens."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from replank.answers import Score, answers
from replank.errors import UsageError
from replank.tasks import Kind, Task
from replank.text import TextEncoder, Tokens
from replank.words import join_words
from serve.hosting import Hosting, answer, described_body, described_errors
from serve.pooling import pool
from serve.question import Texts, as_texts, expected_inputs, model_named, read_body_as, require_few
from serve.schema import EmbedRequest, PredictRequest, ScoreBody, TaggedBody, TextsRequest, TokenBody
from serve.tagging import tag

_TIMES = (
    "The headers x-tokenization-time, x-queue-time and x-inference-time (milliseconds), x-batch-size and "
    "x-compute-tokens tell where the time went."
)

_ASKED_BY: dict[Kind, str] = {
    "classification": "POST /predict asks it",
    "regression": "POST /predict asks it",
    "token-classification": "POST /ner asks it",
    "feature-extraction": "POST /embed asks it",
}


def add_answering(app: FastAPI, hosting: Hosting, task: Task) -> None:
    """Add ``/predict``, ``/ner``, ``/embed`` and ``/tokenize``.

    :param task: that of the model that is asked where none is named, for the examples.
    """
    _add_predict(app, hosting, task)
    _add_ner(app, hosting)
    _add_embed(app, hosting)
    _add_tokenize(app, hosting, task)


def _add_predict(app: FastAPI, hosting: Hosting, task: Task) -> None:
    @app.post(
        "/predict",
        summary="Classify texts or pairs",
        description="One input is answered with its labels, the likeliest first; a list of inputs with a "
        f"list of such answers. {_TIMES}",
        openapi_extra=described_body(PredictRequest, _examples(task, {"top": 1})),
        response_description="labels and scores",
        response_model=list[ScoreBody] | list[list[ScoreBody]],
        responses=described_errors(),
    )
    async def predict(request: Request) -> Response:
        values, deadline = await hosting.read(request)
        with hosting.models.get(model_named(values)).use() as served:
            task = served.model.task
            if task.is_per_token:
                raise UsageError(f"the model {served.name} answers each token; {_ASKED_BY[task.kind]}")
            body, texts = _read(PredictRequest, values, task, hosting)
            inference = await hosting.infer(request, served, texts, deadline)
        scores: list[list[Score]] = [row[: body.top] for row in answers(task, inference.logits)]
        return answer(scores if texts.many else scores[0], served, inference)


def _add_ner(app: FastAPI, hosting: Hosting) -> None:
    one, other = "Ada Lovelace writes to London.", "Grace wrote a compiler."

    @app.post(
        "/ner",
        summary="Label the words of texts",
        description="For models of token classification: each word with its likeliest label, and the entities that "
        f"B-… and I-… labels make of them. {_TIMES}",
        openapi_extra=described_body(TextsRequest, _one_and_many(one, [one, other], "One text", {})),
        response_description="words and entities",
        response_model=TaggedBody | list[TaggedBody],
        responses=described_errors(),
    )
    async def ner(request: Request) -> Response:
        values, deadline = await hosting.read(request)
        with hosting.models.get(model_named(values)).use() as served:
            task = served.model.task
            if task.kind != "token-classification":
                raise UsageError(f"the model {served.name} labels no words; {_ASKED_BY[task.kind]}")
            _, texts = _read(TextsRequest, values, task, hosting)
            inference = await hosting.infer(request, served, _words(texts), deadline)
        found = zip(texts.first, inference.tokens, inference.rows, strict=True)
        tagged = [tag(task, text, tokens, logits) for text, tokens, logits in found]
        return answer(tagged if texts.many else tagged[0], served, inference)


def _add_embed(app: FastAPI, hosting: Hosting) -> None:
    one, other = "A moving and funny film.", "A dull one."

    @app.post(
        "/embed",
        summary="Turn texts into vectors",
        description=f"For models exported without their head: one vector for each text, always as a list. {_TIMES}",
        openapi_extra=described_body(EmbedRequest, _one_and_many(one, [one, other], "One text", {})),
        response_description="vectors",
        response_model=list[list[float]],
        responses=described_errors(),
    )
    async def embed(request: Request) -> Response:
        values, deadline = await hosting.read(request)
        with hosting.models.get(model_named(values)).use() as served:
            task = served.model.task
            if task.kind != "feature-extraction":
                raise UsageError(f"the model {served.name} gives no vectors; {_ASKED_BY[task.kind]}")
            body, texts = _read(EmbedRequest, values, task, hosting)
            inference = await hosting.infer(request, served, texts, deadline)
        vectors = [pool(rows, body.pooling, normalize=body.normalize).tolist() for rows in inference.rows]
        return answer(vectors, served, inference)


def _add_tokenize(app: FastAPI, hosting: Hosting, task: Task) -> None:
    @app.post(
        "/tokenize",
        summary="Show the tokens of texts or pairs",
        description="As the model reads them: truncated to its length, with special tokens.",
        openapi_extra=described_body(TextsRequest, _examples(task, {})),
        response_description="tokens",
        response_model=list[TokenBody] | list[list[TokenBody]],
        responses=described_errors(),
    )
    async def tokenize(request: Request) -> Response:
        values, deadline = await hosting.read(request)
        with hosting.models.get(model_named(values)).use() as served:
            task = served.model.task
            _, texts = _read(TextsRequest, values, task, hosting)
            as_words = _words(texts) if task.kind == "token-classification" else texts
            tokens = await hosting.tokenize(request, served, as_words, deadline)
            encoder = served.model.text_encoder
        special = set(encoder.special_ids)
        rows = [_token_bodies(encoder, special, row) for row in tokens]
        content = orjson.dumps(rows if texts.many else rows[0])
        return Response(content, headers={"x-model": served.name}, media_type="application/json")


def _read(form: type[TextsRequest], values: dict[str, Any], task: Task, hosting: Hosting) -> tuple[Any, Texts]:
    """A request's body, and its inputs in the shape that a task takes."""
    require_few(values, hosting.config.max_texts)
    body = read_body_as(form, values, expected_inputs(task))
    return body, as_texts(body.inputs, task, hosting.config.max_texts)


def _words(texts: Texts) -> Texts:
    """Texts as a model of words takes them."""
    return Texts([join_words(text.split()) for text in texts.first], None, texts.many)


def _token_bodies(encoder: TextEncoder, special: set[int], tokens: Tokens) -> list[dict[str, Any]]:
    return [
        {"id": token, "text": encoder.token(token), "special": token in special, "segment": segment}
        for token, segment in zip(tokens.ids, tokens.type_ids, strict=True)
    ]


def _examples(task: Task, more: dict[str, Any]) -> dict[str, Any]:
    """Requests that fit a task."""
    one: Any = ["How old are you?", "What is your age?"] if task.is_pair else "What a wonderful film!"
    other: Any = ["It rains.", "The sun shines."] if task.is_pair else "I want my money back."
    return _one_and_many(one, [one, other], "One pair" if task.is_pair else "One text", more)


def _one_and_many(one: Any, many: list[Any], summary: str, more: dict[str, Any]) -> dict[str, Any]:
    several = "Several, likeliest label only" if more else "Several"
    return {
        "one": {"summary": summary, "value": {"inputs": one}},
        "many": {"summary": several, "value": {"inputs": many} | more},
    }
