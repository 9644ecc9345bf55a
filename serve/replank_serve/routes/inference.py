"""The routes that ask a model: labels of texts, labels of words, tokens."""

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
from replank.text.tokenization import TextEncoder, Tokens
from replank.text.words import join_words
from replank_serve.engine.inference import Inference
from replank_serve.models.loaded_model import Served
from replank_serve.routes.hosting import Hosting, answer, described_body, post
from replank_serve.routes.request_parsing import (
    Texts,
    as_texts,
    expected_inputs,
    model_named,
    read_body_as,
    require_few,
)
from replank_serve.routes.schema import EmbedRequest, PredictRequest, ScoreBody, TaggedBody, TextsRequest, TokenBody

_TIMES = (
    "The headers x-tokenization-time, x-queue-time and x-inference-time (milliseconds), x-batch-size and "
    "x-compute-tokens tell where the time went."
)


def add_answering(app: FastAPI, hosting: Hosting, task: Task) -> None:
    """Add ``/predict``, ``/ner``, ``/embed`` and ``/tokenize``.

    :param task: that of the model that is asked where none is named, for the examples.
    """
    _add_predict(app, hosting, task)
    _add_ner(app, hosting)
    _add_embed(app, hosting)
    _add_tokenize(app, hosting, task)


def _add_predict(app: FastAPI, hosting: Hosting, task: Task) -> None:
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
        asked = await _ask(hosting, request, PredictRequest, "/predict")
        task = asked.served.model.task
        scores = [row[: asked.body.top] for row in task.kind.scores(task, asked.inference.logits)]
        return answer(scores if asked.many else scores[0], asked.served, asked.inference)


def _add_ner(app: FastAPI, hosting: Hosting) -> None:
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
        asked = await _ask(hosting, request, TextsRequest, "/ner")
        found = zip(asked.texts.first, asked.inference.tokens, asked.inference.rows, strict=True)
        tagged = [tag_text(asked.served.model.task, text, tokens, logits) for text, tokens, logits in found]
        return answer(tagged if asked.many else tagged[0], asked.served, asked.inference)


def _add_embed(app: FastAPI, hosting: Hosting) -> None:
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
        asked = await _ask(hosting, request, EmbedRequest, "/embed")
        body = asked.body
        vectors = [pool(rows, body.pooling, normalize=body.normalize).tolist() for rows in asked.inference.rows]
        return answer(vectors, asked.served, asked.inference)


def _add_tokenize(app: FastAPI, hosting: Hosting, task: Task) -> None:
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
        values, deadline = await hosting.read(request)
        with hosting.models.get(model_named(values)).use() as served:
            task = served.model.task
            _, texts = _read(TextsRequest, values, task, hosting)
            tokens = await hosting.tokenize(request, served, _as_read(texts, task), deadline)
            encoder = served.model.text_encoder
        special = set(encoder.special_ids)
        rows = [_token_bodies(encoder, special, row) for row in tokens]
        content = orjson.dumps(rows if texts.many else rows[0])
        return Response(content, headers={"x-model": served.name}, media_type="application/json")


@dataclass(frozen=True)
class _Asked:
    """What a request asked, and a model's answer to it.

    :param texts: as the request has them.
    """

    served: Served
    body: Any
    texts: Texts
    inference: Inference

    @property
    def many(self) -> bool:
        """Whether the answer is a list of answers."""
        return self.texts.many


async def _ask(hosting: Hosting, request: Request, form: type[TextsRequest], route: Route) -> _Asked:
    """Have the model that a request names answer it.

    :param route: the route that was asked.
    """
    values, deadline = await hosting.read(request)
    with hosting.models.get(model_named(values)).use() as served:
        task = served.model.task
        if task.kind.route != route:
            raise UsageError(f"the model {served.name} {task.kind.serves}; POST {task.kind.route} asks it")
        body, texts = _read(form, values, task, hosting)
        inference = await hosting.infer(request, served, _as_read(texts, task), deadline)
    return _Asked(served, body, texts, inference)


def _read(form: type[TextsRequest], values: dict[str, Any], task: Task, hosting: Hosting) -> tuple[Any, Texts]:
    """A request's body, and its inputs in the shape that a task takes."""
    require_few(values, hosting.config.max_texts)
    body = read_body_as(form, values, expected_inputs(task))
    return body, as_texts(body.inputs, task, hosting.config.max_texts)


def _as_read(texts: Texts, task: Task) -> Texts:
    """Texts as the model reads them: one of words has them cut at white space."""
    if not task.kind.is_per_word:
        return texts
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
