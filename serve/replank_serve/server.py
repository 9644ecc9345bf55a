"""The server process: listens, says when it is ready, and ends cleanly."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replank.runtime.model import Model
from replank.system.errors import ReplankError
from replank_serve.app import ServeConfig, build_app
from replank_serve.http.logs import log_to_stderr
from replank_serve.http.protocol import limited

_log = logging.getLogger(__name__)
_BACKLOG = 2048
# Clients that are connected and ask before they can know of the end still get an answer, 503, and no broken connection.
_LINGER_SECONDS = 0.25


def run_server(models: Model | Mapping[str, Model], config: ServeConfig) -> None:
    """Serve a model, or several by name, until SIGTERM or SIGINT.

    On the signal nothing more is accepted, what was admitted is answered for as long as ``drain_seconds``,
    and the function returns. A second signal does not wait.

    :raises ReplankError: the address cannot be listened on, the model fails in its warm-up, or its inference thread
        died and could not be saved.
    """
    listener = _listen(config.host, config.port)
    log_to_stderr(log_requests=config.log_requests, json_logs=config.json_logs)
    app = build_app(models, config)
    # The application has them now; one that is replaced later must not live on here.
    del models
    connections = _Connections(app)
    settings = uvicorn.Config(
        connections,
        http=limited(config.timeout_seconds),
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        # The engine answers everything within drain_seconds; this is for clients that do not finish asking.
        timeout_graceful_shutdown=math.ceil(config.drain_seconds) + 1,
    )
    greeting = f"serving {app.title.removeprefix('replank: ')} on {_url(listener)} (docs: /docs)"
    server = _Server(settings, connections, app.state.engine, config, greeting)
    server.run(sockets=[listener])
    if server.failure:
        raise server.failure


class Engines(Protocol):
    """What ``app.state.engine`` is: an engine, or all engines of an application as one."""

    async def started(self) -> None:
        """Wait for the end of the warm-up; raise what failed in it."""

    async def died(self) -> ReplankError:
        """Wait until it is dead for good, and say why."""

    def drain(self) -> None:
        """Admit nothing more."""

    def abort(self) -> None:
        """Fail what is not answered yet."""


class _Connections:
    """The application, which at the end has every connection closed after its next answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.ending = False
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_last(message: Message) -> None:
            if self.ending and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, send_last)


class _Server(uvicorn.Server):
    """uvicorn, with engines to start and to drain.

    :param greeting: what is said once requests are answered.
    """

    def __init__(
        self, settings: uvicorn.Config, connections: _Connections, engines: Engines, config: ServeConfig, greeting: str
    ) -> None:
        super().__init__(settings)
        self.failure: ReplankError | None = None
        self._connections = connections
        self._engines = engines
        self._config = config
        self._greeting = greeting
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._watch = self._loop.create_task(self._watch_engines())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._connections.ending = True
        self._engines.drain()
        asyncio.get_running_loop().call_later(self._config.drain_seconds, self._engines.abort)
        await self._stop_listening(sockets or [])
        if not self.failure:
            await asyncio.sleep(min(_LINGER_SECONDS, self._config.drain_seconds))
        await super().shutdown(sockets)

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Take in who has connected already, whom the kernel would reset, and nobody more."""
        connected = [connection for listener in sockets for connection in _connections_of(listener)]
        for server in self.servers:
            server.close()
        for connection in connected:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        protocol: type[Any] = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, the second time at once. Unlike uvicorn's, it does not raise the signal again: a good end is exit 0."""
        if self.should_exit and self._loop:
            self.force_exit = True
            self._loop.call_soon_threadsafe(self._engines.abort)
        self.should_exit = True

    async def _watch_engines(self) -> None:
        try:
            await self._engines.started()
            if not self.should_exit:
                self._greet()
            self.failure = await self._engines.died()
        except ReplankError as error:
            self.failure = error
        self.should_exit = True

    def _greet(self) -> None:
        if self._config.json_logs:
            _log.info(self._greeting)
        else:
            sys.stderr.write(f"{self._greeting}\n")
            sys.stderr.flush()


def _connections_of(listener: socket.socket) -> Iterator[socket.socket]:
    """Connections that wait to be accepted."""
    listener.setblocking(False)
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, taken before anything slow is done."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        hints = {
            errno.EADDRINUSE: "another program listens there; choose another --port, or 0 for a free one",
            errno.EACCES: "ports below 1024 are the system's; choose a higher --port",
        }
        # Names that do not resolve have negative numbers, which os.strerror does not know.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise ReplankError(
            f"cannot listen on {host} port {port}: {reason}",
            hint=hints.get(number, "is --host right?"),
        ) from None


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
