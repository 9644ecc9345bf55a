"""The error body, which every failed request gets, and the errors that only a server raises."""

from __future__ import annotations

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import Scope

from replank.system.errors import OverloadedError, ReplankError
from replank.text.unicode import without_lone_surrogates

# nginx's status for a client that disconnected before the response; it is only counted and logged.
CLIENT_CLOSED_REQUEST = 499
ERROR_TYPES = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "deadline",
    413: "too_large",
    415: "unsupported_media_type",
    422: "validation",
    429: "overloaded",
    431: "too_large",
    500: "internal",
    503: "unhealthy",
    504: "deadline",
}
SCOPE_REQUEST_ID = "replank.request_id"


class MalformedError(ReplankError):
    """A request body that is not JSON."""

    http_status = 400


class UnauthorizedError(ReplankError):
    """A request without a valid API key."""

    http_status = 401


class ForbiddenError(ReplankError):
    """A request that this client may not make."""

    http_status = 403


def error_response(scope: Scope, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """A response with the error body."""
    return Response(error_body(status, message, scope[SCOPE_REQUEST_ID]), status, headers, "application/json")


def error_body(status: int, message: str, request_id: str) -> bytes:
    """The error body as JSON."""
    body = {
        "error": without_lone_surrogates(message),
        "error_type": ERROR_TYPES.get(status, "internal" if status >= 500 else "refused"),
        "request_id": request_id,
    }
    return orjson.dumps(body)


def known_error_response(scope: Scope, error: ReplankError) -> Response:
    """The response for one of replank's own errors."""
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    headers = {}
    if isinstance(error, OverloadedError):
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, UnauthorizedError):
        headers["www-authenticate"] = "Bearer"
    return error_response(scope, error.http_status, message, headers)


def add_error_handlers(app: FastAPI) -> None:
    """Answer the errors of all routes, and unknown routes, with the error body."""

    @app.exception_handler(ReplankError)
    async def known(request: Request, error: ReplankError) -> Response:
        return known_error_response(request.scope, error)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        message = error.detail
        if error.status_code == 404:
            message = "there is no such route; /docs lists them"
        elif error.status_code == 405:
            # Starlette names the methods of one route, and a path may have several.
            headers = {"allow": _methods(app, request.scope)}
            message = f"{request.method} is not possible here; allowed: {headers['allow']}"
        return error_response(request.scope, error.status_code, message, headers)


def _methods(app: FastAPI, scope: Scope) -> str:
    """The methods that are possible on the path of a request."""
    routes = [route for route in app.routes if isinstance(route, Route) and route.matches(scope)[0] != Match.NONE]
    return ", ".join(sorted({method for route in routes for method in route.methods or ()}))
