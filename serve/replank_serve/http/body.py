"""Reading request bodies of untrusted clients: limits on type, size and time, and cancellation on disconnect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from replank.system.errors import DeadlineError, ReplankError, TooLargeError

Result = TypeVar("Result")


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
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(deadline.left):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        raise DeadlineError(f"the body did not arrive within {deadline.seconds:g} seconds") from None
    return bytes(body)


async def while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """The result of some work, which is cancelled when the client disconnects.

    :param request: its body must have been read.
    :raises ClientDisconnect: the client disconnected.
    """
    caller = asyncio.current_task()
    is_gone = False

    async def watch() -> None:
        nonlocal is_gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        if caller:
            caller.cancel()

    watcher = asyncio.ensure_future(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if is_gone and caller and not caller.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()


def _require_media_type(request: Request, media_types: Sequence[str]) -> None:
    content_type = request.headers.get("content-type", "")
    media_type = content_type.split(";")[0].strip().lower()
    if media_type not in media_types or (not media_type and _is_of_a_page(request)):
        raise MediaTypeError(
            f"expected a body of type {media_types[0]}, got {content_type[:80] or 'none'}",
            hint=f"send the header content-type: {media_types[0]}",
        )
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise MediaTypeError(f"expected a body without content-encoding, got {encoding[:80]}")


def _is_of_a_page(request: Request) -> bool:
    """Whether a browser sends the request: with each POST it names the page's origin, if only as ``null``."""
    return any(name in ("origin", "referer") or name.startswith("sec-fetch-") for name in request.headers)


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"the body is larger than {max_bytes} bytes")
