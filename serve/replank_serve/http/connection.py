"""A client's connection, as far as requests care: whether it is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

Result = TypeVar("Result")
# The key of a :class:`Connection` among the extensions of an ASGI scope.
CONNECTION = "replank.connection"


class Connection:
    """A connection that calls back when it is lost. It belongs to one event loop.

    :ivar has_whole_request: whether all of the request that came last is there, and so of those before it.
    """

    def __init__(self) -> None:
        self.is_lost = False
        self.has_whole_request = False
        self._callbacks: set[Callable[[], None]] = set()

    def watch(self, callback: Callable[[], None]) -> None:
        """Call a function once, when the connection is lost; at once if it is already."""
        if self.is_lost:
            callback()
        else:
            self._callbacks.add(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        """Do not call a function any more."""
        self._callbacks.discard(callback)

    def lose(self) -> None:
        """Record the loss."""
        self.is_lost = True
        while self._callbacks:
            self._callbacks.pop()()


def connection_of(request: Request) -> Connection | None:
    """The connection of a request; ``None`` under another server than ours, such as Ray's."""
    found: Connection | None = request.scope.get("extensions", {}).get(CONNECTION)
    return found


async def while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """The result of some work, which is cancelled when the client disconnects.

    :param request: its body must have been read.
    :raises ClientDisconnect: the client disconnected.
    """
    caller = asyncio.current_task()
    is_gone = False

    def leave() -> None:
        nonlocal is_gone
        is_gone = True
        if caller:
            caller.cancel()

    connection = connection_of(request)
    # Other servers tell by a message, for which a task has to wait.
    watcher = None if connection else asyncio.ensure_future(_await_disconnect(request, leave))
    if connection:
        connection.watch(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if is_gone and caller and not caller.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        if connection:
            connection.forget(leave)
        if watcher:
            watcher.cancel()


async def _await_disconnect(request: Request, leave: Callable[[], None]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    leave()
