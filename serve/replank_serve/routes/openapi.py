"""The OpenAPI description of routes that read their request themselves."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from replank_serve.routes.schema import ErrorBody

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
_CLIENT_ERRORS = {
    400: "not JSON",
    401: "missing or wrong API key",
    404: "no such model",
    413: "too large",
    415: "not application/json",
    422: "not a valid input of the model",
}
_SERVER_ERRORS = {429: "queue full", 500: "the model failed", 503: "not ready", 504: "past the deadline"}


def post(app: FastAPI, path: str, **described: Any) -> Callable[[Endpoint], None]:
    """Add a POST route whose function takes the raw request.

    :param described: description of the route, as :meth:`fastapi.FastAPI.post` takes it.
    """

    def add(function: Endpoint) -> None:
        app.router.add_api_route(
            path, function, methods=["POST"], responses=described_errors(), route_class_override=_RawRoute, **described
        )

    return add


def described_body(form: type[BaseModel], examples: dict[str, Any]) -> dict[str, Any]:
    """The ``openapi_extra`` of a route that reads its body itself."""
    schema = form.model_json_schema()
    definitions = schema.pop("$defs", {})
    content = {"schema": _inlined(schema, definitions), "examples": examples}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def described_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that can fail with these statuses; with every known one by default."""
    known = _CLIENT_ERRORS | _SERVER_ERRORS
    return {status: {"model": ErrorBody, "description": known[status]} for status in statuses or known}


def raw_routes(app: FastAPI) -> dict[str, APIRoute]:
    """The routes of :func:`post` by their paths, without those that have parameters."""
    found = [route for route in app.routes if isinstance(route, _RawRoute) and not route.param_convertors]
    return {route.path: route for route in reversed(found)}


class _RawRoute(APIRoute):
    """A route that FastAPI describes but does not parse or validate.

    Its parsing of requests and validation of responses cost as much time as tokenizing a short text.
    """

    def get_route_handler(self) -> Endpoint:
        """The function itself."""
        return self.endpoint


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    """A JSON schema with its references resolved, so that it may stand anywhere in the description."""
    if isinstance(value, list):
        return [_inlined(part, definitions) for part in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(part, definitions) for key, part in value.items()}
