"""Reading request bodies of untrusted clients: limits on type, size and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from fastapi import Request
from starlette.requests import ClientDisconnect

from replank.system.errors import DeadlineError, ReplankError, TooLargeError
from replank_serve.http.connection import connection_of
from replank_serve.http.headers import header


class MediaTypeError(ReplankError):
    """A request body whose content type is not JSON."""

    http_status = 415


class Deadline:
    """The deadline of a request.

    :param seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self._end - time.monotonic()


async def read_body(
    request: Request, max_bytes: int, deadline: Deadline, media_types: Sequence[str] = ("application/json",)
) -> bytes:
    """The whole body; its size is counted as it arrives, since the content-length header may lie.

    A web page of any origin may post to a server on this machine without a CORS preflight, but only a form, plain text,
    or a body without a type: the first two are no media types of ours, and with the last one its browser names the
    page's origin.

    :param media_types: those that are accepted; the empty one accepts a body without a type, which a client that is no
        browser sends.
    :raises MediaTypeError: another content type, or an encoded body.
    :raises TooLargeError: more than ``max_bytes``.
    :raises DeadlineError: it does not arrive before the deadline.
    :raises ClientDisconnect: the client disconnected.
    """
    _require_media_type(request, media_types)
    announced = header(request.scope, b"content-length")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise _too_large(max_bytes)
    connection = connection_of(request)
    if connection and connection.has_whole_request:
        # As nearly all have; a timeout costs more than reading.
        return await _read(request, max_bytes)
    try:
        async with asyncio.timeout(deadline.left):
            return await _read(request, max_bytes)
    except TimeoutError:
        raise DeadlineError(f"the body did not arrive within {deadline.seconds:g} seconds") from None


async def _read(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return bytes(body)


def _require_media_type(request: Request, media_types: Sequence[str]) -> None:
    content_type = header(request.scope, b"content-type")
    media_type = content_type.split(";")[0].strip().lower()
    if media_type not in media_types or (not media_type and _is_of_a_page(request)):
        raise MediaTypeError(
            f"expected a body of type {media_types[0]}, got {content_type[:80] or 'none'}",
            hint=f"send the header content-type: {media_types[0]}",
        )
    encoding = header(request.scope, b"content-encoding") or "identity"
    if encoding.lower() != "identity":
        raise MediaTypeError(f"expected a body without content-encoding, got {encoding[:80]}")


def _is_of_a_page(request: Request) -> bool:
    """Whether a browser sends the request: with each POST it names the page's origin, if only as ``null``."""
    return any(name in ("origin", "referer") or name.startswith("sec-fetch-") for name in request.headers)


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"the body is larger than {max_bytes} bytes")
