"""The private and undocumented parts of uvicorn that the adapter uses are as the adapter expects them."""

from __future__ import annotations

import inspect
import signal
import socket
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from replank_serve.http.uvicorn_adapter import HttpServer, LimitedProtocol
from waiting import HANG_SECONDS

RELEASE = f"uvicorn {version('uvicorn')}"
# What the adapter overrides or calls, with the parameters that it gives and takes.
PARAMETERS: dict[Callable[..., Any], tuple[str, ...]] = {
    uvicorn.Server.__init__: ("self", "config"),
    uvicorn.Server.run: ("self", "sockets"),
    uvicorn.Server.startup: ("self", "sockets"),
    uvicorn.Server.shutdown: ("self", "sockets"),
    uvicorn.Server.handle_exit: ("self", "sig", "frame"),
    HttpToolsProtocol.__init__: ("self", "config", "server_state", "app_state"),
    HttpToolsProtocol.connection_made: ("self", "transport"),
    HttpToolsProtocol.connection_lost: ("self", "exc"),
    HttpToolsProtocol.data_received: ("self", "data"),
    HttpToolsProtocol.on_message_begin: ("self",),
    HttpToolsProtocol.on_header: ("self", "name", "value"),
    HttpToolsProtocol.on_headers_complete: ("self",),
    HttpToolsProtocol.on_body: ("self", "body"),
    HttpToolsProtocol.on_message_complete: ("self",),
    HttpToolsProtocol.send_400_response: ("self", "msg"),
}
SERVER = {
    "should_exit": bool,
    "force_exit": bool,
    "config.http_protocol_class": type,
    "server_state": object,
    "lifespan.state": dict,
    "servers": list,
}
PROTOCOL = {
    "loop.call_later": object,
    "transport.write": object,
    "transport.close": object,
    "cycle.response_started": bool,
}


def test_methods_take_what_the_adapter_gives() -> None:
    changes = [
        f"{method.__qualname__}{inspect.signature(method)}"
        for method, expected in PARAMETERS.items()
        if not _accepts(method, expected)
    ]
    assert not changes, f"{RELEASE} changed: {', '.join(changes)}"


def test_attributes_and_signals_are_where_the_adapter_looks() -> None:
    """A server that runs in this thread tells what it has and stops itself."""
    seen = _Seen()
    server = HttpServer(seen.app, seen, head_seconds=5, shutdown_seconds=1)
    seen.server = server
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.listen(listener)
    assert seen.changes == [], f"{RELEASE} changed: {', '.join(seen.changes)}"
    assert seen.calls == ["listening", "shutdown"]


def test_each_connection_has_the_adapters_protocol() -> None:
    """uvicorn makes the protocol from the class that the configuration names, and calls the parser's hooks on it."""
    seen = _Seen(asks=True)
    server = HttpServer(seen.app, seen, head_seconds=5, shutdown_seconds=1)
    seen.server = server
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen.url = "http://{}:{}".format(*listener.getsockname())
        server.listen(listener)
    assert seen.changes == [], f"{RELEASE} changed: {', '.join(seen.changes)}"
    assert seen.status == 204


class _Seen:
    """The hooks of a server, which look at it once it runs.

    :param asks: whether a request is made before the server is stopped.
    """

    server: HttpServer

    def __init__(self, *, asks: bool = False) -> None:
        self.calls: list[str] = []
        self.changes: list[str] = []
        self.status: int | None = None
        self.url = ""
        self._asks = asks

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        for connection in self.server.server_state.connections:
            if not isinstance(connection, LimitedProtocol):
                self.changes.append(f"connections are {type(connection).__name__}")
            else:
                self.changes += _missing(connection, PROTOCOL)
                if connection._in_head:
                    self.changes.append("on_headers_complete is not called")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def on_listening(self) -> None:
        self.calls.append("listening")
        self.changes += _missing(self.server, SERVER)
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) != self.server.handle_exit:
                self.changes.append(f"handle_exit does not handle {number.name}")
        if self._asks:
            self._task = self.server._loop.create_task(self._ask())  # type: ignore[union-attr]
        else:
            self.server.stop()

    async def _ask(self) -> None:
        try:
            async with httpx.AsyncClient() as client:
                self.status = (await client.get(self.url, timeout=HANG_SECONDS)).status_code
        finally:
            self.server.stop()

    def on_shutdown(self) -> float:
        self.calls.append("shutdown")
        return 0.0

    def on_forced_shutdown(self) -> None:
        self.calls.append("forced")


def _accepts(method: Callable[..., Any], expected: tuple[str, ...]) -> bool:
    """Whether a method has the expected parameters, and needs no others."""
    parameters = inspect.signature(method).parameters
    needed = {name for name, parameter in parameters.items() if parameter.default is parameter.empty}
    return set(expected) <= parameters.keys() and needed <= set(expected)


def _missing(owner: object, expected: Mapping[str, type]) -> list[str]:
    """The attributes that an object does not have, or not of the expected type."""
    changes = []
    for path, kind in expected.items():
        value: Any = owner
        try:
            for name in path.split("."):
                value = getattr(value, name)
        except AttributeError:
            changes.append(f"{type(owner).__name__}.{path} is gone")
            continue
        if not isinstance(value, kind):
            changes.append(f"{type(owner).__name__}.{path} is of type {type(value).__name__}")
    return changes
