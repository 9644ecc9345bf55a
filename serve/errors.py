"""One error body for everything that goes wrong, and what surrounds each request: its id and its log line."""

from __future__ import annotations

import logging
import re
import time
import uuid

import orjson
from fastapi import FastAPI, Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replank.errors import ReplankError

_log = logging.getLogger(__name__)
CLIENT_WENT_AWAY = 499
ERROR_TYPES = {
    400: "malformed",
    404: "not_found",
    405: "method_not_allowed",
    408: "deadline",
    413: "too_large",
    415: "unsupported_media_type",
    422: "validation",
    429: "overloaded",
    500: "internal",
    503: "unhealthy",
    504: "deadline",
}
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_SCOPE_KEY = "replank.request_id"
# Probes come every few seconds; they are logged where somebody asked for debug.
_QUIET_PATHS = ("/health", "/ready")


def error_response(scope: Scope, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An answer with the error body."""
    body = {
        "error": message,
        "error_type": ERROR_TYPES.get(status, "internal" if status >= 500 else "refused"),
        "request_id": scope[_SCOPE_KEY],
    }
    return Response(orjson.dumps(body), status, headers, "application/json")


def add_error_handlers(app: FastAPI) -> None:
    """Have every error of a route, and every wrong route, answered with the error body."""

    @app.exception_handler(ReplankError)
    async def known(request: Request, error: ReplankError) -> Response:
        message = f"{error.message} ({error.hint})" if error.hint else error.message
        headers = {"retry-after": "1"} if error.http_status == 429 else None
        return error_response(request.scope, error.http_status, message, headers)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        messages = {
            404: "there is no such route; /docs lists them",
            405: f"{request.method} is not possible here",
        }
        message = messages.get(error.status_code, error.detail)
        return error_response(request.scope, error.status_code, message, dict(error.headers or {}))


class RequestContext:
    """Middleware: gives each request its id, logs it without its content, and lets no exception out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = scope[_SCOPE_KEY] = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        started, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = CLIENT_WENT_AWAY
        except Exception:
            _log.exception("request %s failed", request_id)
            if not status:
                message = "internal error; the server's log has it under the request id"
                await error_response(scope, 500, message)(scope, receive, send_with_id)
        finally:
            _log.log(
                logging.DEBUG if scope["path"] in _QUIET_PATHS else logging.INFO,
                "%s %s %d %.1f ms %s",
                scope["method"],
                ascii(scope["path"][:100])[1:-1],  # a path can hold line breaks
                status,
                1e3 * (time.perf_counter() - started),
                request_id,
            )
