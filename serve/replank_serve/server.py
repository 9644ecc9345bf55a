"""The server process: it listens, reports when it is ready, and shuts down gracefully."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import os
import socket
import sys
from collections.abc import Mapping
from typing import Protocol

from replank.runtime.model import Model
from replank.system.errors import ReplankError
from replank_serve.app import ServeConfig, build_app
from replank_serve.http.logs import log_to_stderr
from replank_serve.http.uvicorn_adapter import HttpServer

_log = logging.getLogger(__name__)
_BACKLOG = 2048
# During the shutdown, clients with an open connection get a 503 for so long, rather than a reset connection.
_LINGER_SECONDS = 0.25


def run_server(models: Model | Mapping[str, Model], config: ServeConfig) -> None:
    """Serve a model, or several by name, until SIGTERM or SIGINT.

    On the signal the server refuses new requests, answers admitted ones for up to ``drain_seconds``, and returns. On a
    second signal it stops at once.

    :raises ReplankError: the address is not available, the model fails in its warm-up, or its inference thread died
        twice.
    """
    listener = _listen(config.host, config.port)
    log_to_stderr(log_requests=config.log_requests, json_logs=config.json_logs)
    app = build_app(models, config)
    # The application owns the models; a reference here would keep a replaced one in memory.
    del models
    greeting = f"serving {app.title.removeprefix('replank: ')} on {_url(listener)} (docs: /docs)"
    lifecycle = _EngineLifecycle(app.state.engine, config, greeting)
    server = HttpServer(
        app,
        lifecycle,
        head_seconds=config.timeout_seconds,
        # The engines answer everything within drain_seconds; the rest is for clients that are still sending.
        shutdown_seconds=math.ceil(config.drain_seconds) + 1,
    )
    lifecycle.server = server
    server.listen(listener)
    if lifecycle.failure:
        raise lifecycle.failure


class Engines(Protocol):
    """One engine, or all engines of an application as one: ``app.state.engine``."""

    async def started(self) -> None:
        """Wait for the end of the warm-up; raise the error of a failed one."""

    async def died(self) -> ReplankError:
        """Wait until an engine is dead; the cause."""

    def drain(self) -> None:
        """Refuse new requests."""

    def abort(self) -> None:
        """Fail all pending requests."""


class _EngineLifecycle:
    """The hooks that tie engines to a server: it greets when they are warm, drains them, and stops when one is dead.

    :param greeting: the line that says where the server listens.
    """

    server: HttpServer

    def __init__(self, engines: Engines, config: ServeConfig, greeting: str) -> None:
        self.failure: ReplankError | None = None
        self._engines = engines
        self._config = config
        self._greeting = greeting
        self._watch: asyncio.Task[None] | None = None

    def on_listening(self) -> None:
        self._watch = asyncio.get_running_loop().create_task(self._watch_engines())

    def on_shutdown(self) -> float:
        self._engines.drain()
        asyncio.get_running_loop().call_later(self._config.drain_seconds, self._engines.abort)
        return 0.0 if self.failure else min(_LINGER_SECONDS, self._config.drain_seconds)

    def on_forced_shutdown(self) -> None:
        self._engines.abort()

    async def _watch_engines(self) -> None:
        try:
            await self._engines.started()
            if not self.server.is_stopping:
                self._greet()
            self.failure = await self._engines.died()
        except ReplankError as error:
            self.failure = error
        self.server.stop()

    def _greet(self) -> None:
        if self._config.json_logs:
            _log.info(self._greeting)
        else:
            sys.stderr.write(f"{self._greeting}\n")
            sys.stderr.flush()


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, opened before anything slow is done."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        hints = {
            errno.EADDRINUSE: "another program listens there; choose another `port`, or 0 for a free one",
            errno.EACCES: "ports below 1024 are privileged; choose a higher `port`",
        }
        # Resolver errors have negative numbers, which os.strerror does not know.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise ReplankError(
            f"cannot listen on {host} port {port}: {reason}",
            hint=hints.get(number, "check `host`"),
        ) from None


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
