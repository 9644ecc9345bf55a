"""A server whose answers a test decides, and a load test against it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from replank_serve.loadtest.config import LoadtestConfig
from replank_serve.loadtest.result import LoadtestResult
from replank_serve.loadtest.run import loadtest

INFO = {
    "model": "stand-in",
    "precision": "fp32",
    "max_length": 8,
    "task": {"is_pair": False},
    "limits": {"max_texts": 4, "max_queue_tokens": 512},
}


class StandIn(BaseHTTPRequestHandler):
    """A server whose answers a test decides: the status of the request of each number."""

    protocol_version = "HTTP/1.1"
    asked: list[Any]
    statuses: dict[int, int]
    dies_after: int | None
    server: ThreadingHTTPServer

    def do_GET(self) -> None:
        self._answer(200, INFO)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body["inputs"])
        if self.dies_after is not None and len(self.asked) > self.dies_after:
            self.server.socket.close()
            # From another thread, for it waits for the loop that is to end.
            threading.Thread(target=self.server.shutdown, daemon=True).start()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        status = self.statuses.get(len(self.asked), 200)
        self._answer(status, [] if status == 200 else {"error": "the queue is full"})

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    # A load test connects up to 128 times at once, of which the default of 5 would have some reset.
    request_queue_size = 256


@dataclass
class Stand:
    """A stand-in that runs.

    :param asked: the inputs of each request, in order of arrival.
    :param statuses: by the number of the request, where it is not 200.
    """

    url: str
    asked: list[Any]
    statuses: dict[int, int]


@contextmanager
def stand_in(dies_after: int | None = None) -> Iterator[Stand]:
    settings: dict[str, Any] = {"asked": [], "statuses": {}, "dies_after": dies_after}
    server = _Server(("127.0.0.1", 0), type("Handler", (StandIn,), settings))
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: _serve(server), daemon=True)
    thread.start()
    try:
        yield Stand(f"http://127.0.0.1:{server.server_address[1]}", settings["asked"], settings["statuses"])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _serve(server: ThreadingHTTPServer) -> None:
    with suppress(OSError, ValueError):  # of a server that was killed
        server.serve_forever(0.05)


def measured(config: LoadtestConfig) -> tuple[LoadtestResult, list[dict[str, Any]]]:
    """The result, and what was kept on the way."""
    kept: list[dict[str, Any]] = []
    result = loadtest(config, lambda value: kept.append(json.loads(json.dumps(value.to_json()))))
    return result, kept
