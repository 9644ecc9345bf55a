"""The server process: listens, says when it is ready, and ends cleanly."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import os
import socket
import sys
from types import FrameType

import uvicorn

from replank.errors import ReplankError
from replank.runtime import Model
from serve.app import ServeConfig, build_app
from serve.engine import Engine

_BACKLOG = 2048


def run_server(model: Model, config: ServeConfig) -> None:
    """Serve a model until SIGTERM or SIGINT.

    On the signal nothing more is accepted, what was admitted is answered for as long as ``drain_seconds``,
    and the function returns. A second signal does not wait.

    :raises ReplankError: the address cannot be listened on, or the model fails in its warm-up.
    """
    _log_to_stderr()
    listener = _listen(config.host, config.port)
    app = build_app(model, config)
    settings = uvicorn.Config(
        app,
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
    server = _Server(settings, app.state.engine, config, f"{app.title.removeprefix('replank: ')} on {_url(listener)}")
    server.run(sockets=[listener])
    if server.failure:
        raise server.failure


class _Server(uvicorn.Server):
    """uvicorn, with an engine to start and to drain."""

    def __init__(self, settings: uvicorn.Config, engine: Engine, config: ServeConfig, name: str) -> None:
        super().__init__(settings)
        self.failure: ReplankError | None = None
        self._engine = engine
        self._drain_seconds = config.drain_seconds
        self._name = name
        self._announcement: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announcement = asyncio.create_task(self._announce())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._engine.drain()
        asyncio.get_running_loop().call_later(self._drain_seconds, self._engine.abort)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop. Unlike uvicorn's own, it does not raise the signal again at the end: a good end is exit 0."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def _announce(self) -> None:
        try:
            await self._engine.started()
        except ReplankError as error:
            self.failure = error
            self.should_exit = True
        if not self.should_exit:
            sys.stderr.write(f"serving {self._name} (docs: /docs)\n")
            sys.stderr.flush()


def _log_to_stderr() -> None:
    """A line for each request, with the time, whatever the rest of the process logs."""
    log = logging.getLogger("serve")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False


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
