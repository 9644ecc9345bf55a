"""Who may ask: keys, and what only the machine itself or a holder of a key may do."""

from __future__ import annotations

import hmac
import ipaddress
import re
from pathlib import Path

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from replank.system.errors import UsageError
from replank_serve.http.errors import ForbiddenError, UnauthorizedError, known_error_response

# Probes come without keys; the pages hold nothing but themselves, and ask for a key where the server does.
_OPEN = {"/", "/docs", "/openapi.json", "/health", "/ready", "/v2/health/live", "/v2/health/ready"}
_OPEN_FOLDER = "/page/"
_KEY = re.compile(r"[\x21-\x7e]{16,512}")


def read_keys(file: Path | None, variable: str | None) -> tuple[str, ...]:
    """The server's keys: the lines of a file, but those that are empty or begin with ``#``; and one of a variable.

    :raises UsageError: the file cannot be read or holds none; a key has spaces, or is short.
    """
    lines: list[str] = []
    if file is not None:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            raise UsageError(f"--api-key-file {file}: cannot be read: {error}") from None
        lines = [line for line in lines if line and not line.startswith("#")]
        # A server that was to be closed must not be open because a file is empty.
        if not lines:
            raise UsageError(f"--api-key-file {file}: holds no key", hint="one key on a line")
    if variable is not None:
        lines.append(variable)
    if not all(map(_KEY.fullmatch, lines)):
        raise UsageError(
            "an API key is shorter than 16 characters, or holds spaces or other than ASCII",
            hint="python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one",
        )
    return tuple(lines)


class RequireKey:
    """Middleware: nothing but probes and pages without a key in ``Authorization: Bearer …``."""

    def __init__(self, app: ASGIApp, keys: tuple[str, ...]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and not _is_open(scope["path"]) and not self._knows(Headers(scope=scope)):
            error = UnauthorizedError("expected one of the server's keys", hint="authorization: Bearer KEY")
            return await known_error_response(scope, error)(scope, receive, send)
        return await self._app(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Every key is compared, each in a time that tells nothing of how much of it was right.
        right = [hmac.compare_digest(given.strip().encode(), key) for key in self._keys]
        return scheme.lower() == "bearer" and any(right)


def require_trusted(request: Request, has_keys: bool) -> None:
    """Let pass who brought a key already, or where there are none, who is on this machine.

    :raises ForbiddenError: neither.
    """
    if has_keys:
        return
    # A proxy on this machine makes every client look local, and a web page can give its own name this address.
    is_relayed = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
    client = request.client.host if request.client else ""
    if is_relayed or not _is_loopback(client) or not _is_loopback(request.url.hostname or ""):
        raise ForbiddenError(
            "models are loaded and unloaded from this machine only, or with an API key",
            hint="start the server with --api-key-file",
        )


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_FOLDER)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
