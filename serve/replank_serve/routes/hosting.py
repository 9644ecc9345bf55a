"""What all routes share: the loaded models, the limits, the numbers, and the way from a request to a model's answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from replank.text.tokenization import Tokens
from replank_serve.engine.inference import Inference
from replank_serve.http.body import Deadline, read_body, while_connected
from replank_serve.http.config import ServeConfig
from replank_serve.http.metrics import Metrics
from replank_serve.http.telemetry import describe
from replank_serve.models.loaded_model import Served
from replank_serve.models.registry import Models
from replank_serve.routes.request_parsing import Texts, read_json_object
from replank_serve.routes.schema import ErrorBody

_REFUSALS = {
    400: "not JSON",
    401: "without a key, where the server asks for one",
    404: "no such model",
    413: "too large",
    415: "not application/json",
    422: "not what the model takes",
}
_FAILURES = {429: "too much waits already", 500: "the model failed", 503: "not ready", 504: "past the deadline"}


@dataclass(frozen=True)
class Hosting:
    """One server's models and how it serves them."""

    models: Models
    config: ServeConfig
    metrics: Metrics

    async def read(self, request: Request) -> tuple[dict[str, Any], Deadline]:
        """The JSON object of a request's body, and until when it is to be answered.

        :raises ReplankError: see :func:`read_body` and :func:`read_json_object`.
        """
        deadline = Deadline(self.config.timeout_seconds)
        return read_json_object(await read_body(request, self.config.max_body_bytes, deadline)), deadline

    async def infer(self, request: Request, served: Served, texts: Texts, deadline: Deadline) -> Inference:
        """A model's answer, unless the client goes away.

        :raises ReplankError: see :meth:`Engine.infer`.
        """
        work = served.engine.infer(texts.first, texts.second, timeout=deadline.left)
        inference = await while_connected(request, work)
        self.metrics.answered(served.name, inference)
        describe(served.name, inference)
        return inference

    async def tokenize(self, request: Request, served: Served, texts: Texts, deadline: Deadline) -> list[Tokens]:
        """The tokens that a model would read, unless the client goes away.

        :raises ReplankError: see :meth:`Engine.tokenize`.
        """
        work = served.engine.tokenize(texts.first, texts.second, timeout=deadline.left)
        return await while_connected(request, work)


class _RequestRoute(APIRoute):
    """A route whose function takes the request and gives the response: FastAPI describes it, and only that.

    Taking requests apart and checking responses costs FastAPI as much as it costs to tokenize a short text.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself."""
        return self.endpoint


def post(
    app: FastAPI, path: str, **described: Any
) -> Callable[[Callable[[Request], Coroutine[Any, Any, Response]]], None]:
    """Add a function that reads a request itself, and can fail in every known way.

    :param described: what :meth:`fastapi.FastAPI.post` takes to describe it.
    """

    def add(function: Callable[[Request], Coroutine[Any, Any, Response]]) -> None:
        app.router.add_api_route(
            path,
            function,
            methods=["POST"],
            responses=described_errors(),
            route_class_override=_RequestRoute,
            **described,
        )

    return add


def answer(content: Any, served: Served, inference: Inference) -> Response:
    """An answer as JSON, with headers that tell which model gave it and where the time went."""
    headers = {
        "x-model": served.name,
        "x-tokenization-time": f"{inference.tokenization_ms:.3f}",
        "x-queue-time": f"{inference.queue_ms:.3f}",
        "x-inference-time": f"{inference.inference_ms:.3f}",
        "x-batch-size": str(inference.batch_size),
        "x-compute-tokens": str(sum(map(len, inference.tokens))),
    }
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")


def described_body(form: type[BaseModel], examples: dict[str, Any]) -> dict[str, Any]:
    """What a route that reads its body itself takes, for the description of the API."""
    schema = form.model_json_schema()
    definitions = schema.pop("$defs", {})
    content = {"schema": _inlined(schema, definitions), "examples": examples}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def described_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ways in which a route does not answer; all that exist where none are named."""
    known = _REFUSALS | _FAILURES
    return {status: {"model": ErrorBody, "description": known[status]} for status in statuses or known}


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    """A schema without references, which would point to another place once it is part of the description."""
    if isinstance(value, list):
        return [_inlined(part, definitions) for part in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(part, definitions) for key, part in value.items()}
