"""Authentication by key, and authorization of model loading."""

from __future__ import annotations

import hmac
import ipaddress
import re
from pathlib import Path

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from replank.system.errors import UsageError
from replank_serve.http.config import ServeConfig
from replank_serve.http.errors import ForbiddenError, UnauthorizedError, known_error_response

# To read. Probes have no keys; the pages hold no data, and ask for a key if the server does.
_PUBLIC = {"/", "/docs", "/openapi.json", "/health", "/ready", "/v2/health/live", "/v2/health/ready"}
_PUBLIC_FOLDER = "/page/"
_KEY = re.compile(r"[\x21-\x7e]{16,512}")


def read_keys(file: Path | None, variable: str | None, *, setting: str = "api_key_file") -> tuple[str, ...]:
    """The server's API keys, or its admin keys.

    :param file: one key per line; empty lines and lines that begin with ``#`` are skipped.
    :param variable: a further key, from an environment variable.
    :param setting: the name of the setting that gave the file.
    :raises UsageError: the file cannot be read or holds no key; a key is short or has invalid characters.
    """
    lines: list[str] = []
    if file is not None:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            raise UsageError(f"`{setting}={file}` cannot be read: {error}") from None
        lines = [line for line in lines if line and not line.startswith("#")]
        # An empty file must not disable authentication.
        if not lines:
            raise UsageError(f"`{setting}={file}` holds no key", hint="write one key per line")
    if variable is not None:
        lines.append(variable)
    if not all(map(_KEY.fullmatch, lines)):
        raise UsageError(
            "a key is shorter than 16 characters, or holds spaces or non-ASCII characters",
            hint="python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one",
        )
    return tuple(lines)


class ApiKeyMiddleware:
    """Requires an API key or an admin key, in ``Authorization: Bearer …``, for everything but probes and pages."""

    def __init__(self, app: ASGIApp, keys: tuple[str, ...]) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and not _is_public(scope) and not _has_key(Headers(scope=scope), self._keys):
            error = UnauthorizedError("expected one of the server's keys", hint="authorization: Bearer KEY")
            return await known_error_response(scope, error)(scope, receive, send)
        return await self._app(scope, receive, send)


def require_trusted(request: Request, config: ServeConfig) -> None:
    """Authorize a request to load or unload models.

    It must carry an admin key if the server has any; else it had an API key to come this far; else it must come from
    this machine.

    :raises UnauthorizedError: no admin key, where that is the only kind of key.
    :raises ForbiddenError: an API key instead; or, without keys, from another machine or through a proxy.
    """
    if config.admin_keys:
        if not _has_key(request.headers, config.admin_keys):
            refuse = ForbiddenError if config.api_keys else UnauthorizedError
            raise refuse("models are loaded and unloaded with an admin key only", hint="authorization: Bearer KEY")
        return
    if config.api_keys:
        return
    # Behind a local proxy every client looks local, and DNS rebinding gives a web page's host name this address.
    is_relayed = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
    client = request.client.host if request.client else ""
    if is_relayed or not _is_loopback(client) or not _is_loopback(request.url.hostname or ""):
        raise ForbiddenError(
            "models are loaded and unloaded from this machine only, or with a key",
            hint="start the server with admin keys or API keys",
        )


def _has_key(headers: Headers, keys: tuple[str, ...]) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    # Every key is compared, in constant time, so that timing reveals nothing.
    matches = [hmac.compare_digest(given.strip().encode(), key.encode()) for key in keys]
    return scheme.lower() == "bearer" and any(matches)


def _is_public(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] in ("GET", "HEAD") and (path in _PUBLIC or path.startswith(_PUBLIC_FOLDER))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
