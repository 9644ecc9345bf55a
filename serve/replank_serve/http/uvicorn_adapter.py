"""The adapter to uvicorn: limits on what is no body, and a graceful shutdown with hooks.

This file alone uses the private or undocumented parts of uvicorn; ``tests/serve/test_uvicorn_canary.py`` lists them and
fails on a release that changed one.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from types import FrameType
from typing import Any, Protocol

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from replank_serve.http.connection import CONNECTION, Connection
from replank_serve.http.errors import error_body

# Limit on a head, or on trailers or a chunk's header, that arrive in several reads; one read is at most what the kernel
# buffers, a quarter of a megabyte.
MAX_HEAD_BYTES = 65_536


class Lifecycle(Protocol):
    """The hooks of a server, all called in its event loop."""

    def on_listening(self) -> None:
        """Called once requests are answered."""

    def on_shutdown(self) -> float:
        """Called at the start of the shutdown.

        :returns: seconds for which open connections still get answers after new ones are refused.
        """

    def on_forced_shutdown(self) -> None:
        """Called on a second signal."""


class HttpServer(uvicorn.Server):
    """An ASGI application on a listening socket, until :meth:`stop`, SIGTERM or SIGINT.

    :param head_seconds: timeout for a request's line and headers.
    :param shutdown_seconds: timeout of the shutdown; then open requests are cancelled.
    """

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, *, head_seconds: float, shutdown_seconds: int) -> None:
        self._app = _ConnectionCloser(app)
        self._lifecycle = lifecycle
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(
            uvicorn.Config(
                self._app,
                http=type("LimitedProtocol", (LimitedProtocol,), {"head_seconds": head_seconds}),
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                lifespan="on",
                timeout_graceful_shutdown=shutdown_seconds,
            )
        )

    def listen(self, listener: socket.socket) -> None:
        """Answer requests until the shutdown is complete."""
        self.run(sockets=[listener])

    def stop(self) -> None:
        """Begin the shutdown."""
        self.should_exit = True

    @property
    def is_stopping(self) -> bool:
        """Whether the shutdown was asked for."""
        return self.should_exit

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's startup, then the hook."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._lifecycle.on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """The hook, no new connections, a linger time for open ones, then uvicorn's shutdown."""
        self._app.is_closing = True
        linger_seconds = self._lifecycle.on_shutdown()
        await self._stop_listening(sockets or [])
        await asyncio.sleep(linger_seconds)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop on a signal, at once on a second one.

        Unlike uvicorn's handler, this one does not let the signal be raised again: a clean shutdown exits with 0.
        """
        if self.should_exit and self._loop:
            self.force_exit = True
            self._loop.call_soon_threadsafe(self._lifecycle.on_forced_shutdown)
        self.should_exit = True

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Serve the connections in the accept backlog, which the kernel would reset, and accept no more."""
        backlog = [connection for listener in sockets for connection in _accept_backlog(listener)]
        for server in self.servers:
            server.close()
        for connection in backlog:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        protocol: type[Any] = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made


class LimitedProtocol(HttpToolsProtocol):
    """One connection, with limits that uvicorn does not have: on the size of all that is no body, and on a head's time.

    Trailers, the headers behind a chunked body, are dropped: uvicorn would keep them all, among the request's headers.
    """

    # For a connection's first head from its start, for a later one from its first byte.
    head_seconds: float

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._in_head = True
        # Bytes since the last part of a body, or the last end of a head or a request.
        self._other_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._connection = Connection()
        # The requests without a whole response: a client may send the next ones before.
        self._open: list[RequestResponseCycle] = []
        self._extensions: dict[str, Any] = {CONNECTION: self._connection}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first head."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout, and tell whoever wants to know."""
        self._end_head()
        super().connection_lost(exc)
        for cycle in self._open:
            # uvicorn tells the last one only, and misses the response of the others.
            cycle.disconnected = True
            cycle.message_event.set()
        self._connection.lose()

    def data_received(self, data: bytes) -> None:
        """Parse bytes, and count those that are no body."""
        self._other_bytes += len(data)
        super().data_received(data)
        # Most heads arrive whole, and need none. But uvicorn ends its own timeout of an idle connection at any byte.
        is_idle = bool(self.cycle) and self.cycle.response_complete and not self.timeout_keep_alive_task
        if (self._in_head or is_idle) and not self._timer and not self.transport.is_closing():
            self._start_timer()
        if self._other_bytes <= MAX_HEAD_BYTES or self.transport.is_closing():
            return
        if not self._in_head and self.cycle.response_started:
            self.transport.close()
            return
        part = "line and headers" if self._in_head else "trailers, or the header of a chunk,"
        self._refuse(431, f"the request's {part} are larger than {MAX_HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self._in_head, self._connection.has_whole_request = True, False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header of the head."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End of the head; the application limits the body."""
        self._end_head()
        super().on_headers_complete()
        self._open = [*(cycle for cycle in self._open if not cycle.response_complete), self.cycle]

    def on_body(self, body: bytes) -> None:
        """Count anew from here."""
        self._other_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Count anew from here."""
        self._other_bytes, self._connection.has_whole_request = 0, True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not HTTP."""
        self._refuse(400, "the request is not HTTP")

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self._refuse, 408, "the request's head did not arrive")

    def _end_head(self) -> None:
        self._in_head, self._other_bytes = False, 0
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, message: str) -> None:
        """Answer without the application and close the connection."""
        self._end_head()
        content = error_body(status, message, "")
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        self.transport.close()


class _ConnectionCloser:
    """ASGI middleware that, during the shutdown, closes each connection after its next response."""

    def __init__(self, app: ASGIApp) -> None:
        self.is_closing = False
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_last(message: Message) -> None:
            if self.is_closing and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, send_last)


def _accept_backlog(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections in the accept backlog of a listening socket."""
    listener.setblocking(False)
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection
