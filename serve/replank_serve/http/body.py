"""Reading a request without trusting its client: its type, its size, its pace, and whether it is still there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from replank.system.errors import DeadlineError, ReplankError, TooLargeError

Result = TypeVar("Result")


class MediaTypeError(ReplankError):
    """A request body that does not say it is JSON."""

    http_status = 415


class Deadline:
    """When an answer is of no use any more.

    :param seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds; negative when it is over."""
        return self._end - time.monotonic()


async def read_body(request: Request, max_bytes: int, deadline: Deadline) -> bytes:
    """The whole body, counted while it arrives: what it says of its length is not believed.

    Only ``application/json`` is read. A form, which any web page may post to a server on this machine without
    asking first, cannot have that type.

    :raises MediaTypeError: another content type, or none.
    :raises TooLargeError: more than ``max_bytes``.
    :raises DeadlineError: it does not arrive in time.
    :raises ClientDisconnect: the client went away.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise MediaTypeError(
            f"expected a body of type application/json, got {content_type[:80] or 'none'}",
            hint="send the header content-type: application/json",
        )
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
    """The result of some work, which is cancelled when the client goes away.

    :param request: its body must have been read.
    :raises ClientDisconnect: it went away.
    """
    worker = asyncio.current_task()
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        if worker:
            worker.cancel()

    watcher = asyncio.ensure_future(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if gone and worker and not worker.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"the body is larger than {max_bytes} bytes")
