"""Middleware around every request: its id, trace, metrics and log line, and a response for unexpected exceptions."""

from __future__ import annotations

import logging
import random
import re

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replank_serve.engine.request_id import REQUEST_ID
from replank_serve.http.errors import CLIENT_CLOSED_REQUEST, SCOPE_REQUEST_ID, error_response
from replank_serve.http.headers import header
from replank_serve.http.metrics import Metrics
from replank_serve.http.telemetry import QUIET_PATHS

_log = logging.getLogger("replank_serve.request")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
# https://www.w3.org/TR/trace-context/: version, trace id, id of the caller's span, flags; later versions may add more.
# Not OpenTelemetry's propagator, which takes seven times as long and makes a span that only an SDK needs.
_TRACEPARENT = re.compile(r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


class RequestContextMiddleware:
    """Gives each request an id, counts and logs it without its content, and answers unexpected exceptions with 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = header(scope, b"x-request-id")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = f"{random.getrandbits(128):032x}"
        scope[SCOPE_REQUEST_ID] = request_id
        REQUEST_ID.set(request_id)
        trace = _TRACEPARENT.fullmatch(header(scope, b"traceparent"))
        added = [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
        if trace:
            added.append((b"traceparent", trace[0].encode()))
        began, status = self._metrics.begin(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = CLIENT_CLOSED_REQUEST
        except Exception:
            _log.exception("request %s failed", request_id)
            if not status:
                message = "internal error; the server's log has it under the request id"
                await error_response(scope, 500, message)(scope, receive, send_with_id)
        finally:
            # No status: the request was cancelled, because the client disconnected or the server shuts down.
            status = status or CLIENT_CLOSED_REQUEST
            route = getattr(scope.get("route"), "path", "none")
            milliseconds = self._metrics.end(route, scope["method"], status, began)
            _log_request(scope, status, milliseconds, request_id, trace[1] if trace else None)


def _log_request(scope: Scope, status: int, milliseconds: float, request_id: str, trace_id: str | None) -> None:
    # Probes only at DEBUG: that they are told "not ready" is an answer.
    is_probe = scope["path"] in QUIET_PATHS and status in (200, 503)
    level = logging.DEBUG if is_probe else logging.WARNING if status >= 500 else logging.INFO
    if not _log.isEnabledFor(level):
        return
    path = ascii(scope["path"][:100])[1:-1]  # a path can hold line breaks
    facts = {"method": scope["method"], "path": path, "status": status, "milliseconds": round(milliseconds, 3)}
    _log.log(
        level,
        "%s %s %d %.1f ms %s",
        scope["method"],
        path,
        status,
        milliseconds,
        request_id,
        extra=facts | {"request_id": request_id} | ({"trace_id": trace_id} if trace_id else {}),
    )
