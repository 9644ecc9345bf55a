"""The target of a load test: an engine in this process, or a server behind a URL."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import require_whole_texts
from replank.system.errors import ReplankError, UsageError
from replank_serve.engine.engine import Engine
from replank_serve.engine.limits import EngineLimits

Samples = Sequence[tuple[str, ...]]
# Longer than a server's own deadline, 30 s by default: a server that is silent for so long hangs.
_SILENCE_SECONDS = 60.0
_CONNECTIONS = 128
# Samples per request to an engine; a server's default limit.
_REQUEST_TEXTS = 32


class RefusedError(ReplankError):
    """A request was refused, for example because the queue is full; the target itself is fine.

    :param reason: a short reason, by which refusals are counted.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Target(ABC):
    """A model behind an asynchronous interface.

    :param facts: its description, as JSON values.
    :param width: texts per sample: 2 for pairs.
    :param request_texts: maximum samples per request.
    :param in_flight: requests of that size that the queue admits at once.
    """

    facts: dict[str, Any]
    width: int
    request_texts: int
    in_flight: int

    @abstractmethod
    def submit(self, samples: Samples) -> Future[None]:
        """Send a request without waiting for its answer.

        The future fails with :class:`RefusedError` if the request was refused, and with another
        :class:`ReplankError` if the target is gone.
        """


def open_target(name: str, device: Any, threads: int | None) -> Target:
    """The target for a URL, a folder or a hub name."""
    return HttpTarget(name) if "://" in name else EngineTarget(name, device, threads)


class EngineTarget(Target):
    """The server's engine with its default limits, without HTTP."""

    def __init__(self, name: str, device: Any, threads: int | None) -> None:
        source = open_source(name)
        require_whole_texts(source, "loadtest")
        model, limits = load_model(source, device=device, threads=threads), EngineLimits()
        self.width = 2 if model.task.is_pair else 1
        self.request_texts = _REQUEST_TEXTS
        self.in_flight = _requests_at_once(limits.max_queue_tokens, _REQUEST_TEXTS * model.text_encoder.max_length)
        self.facts = {
            "kind": "engine",
            "model": source.short_name,
            "precision": source.precision,
            "layers": source.layers,
            "device": model.device,
        }
        self._engine = Engine(model, limits)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="replank-engine", daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    def submit(self, samples: Samples) -> Future[None]:
        """Pass a request to the engine's event loop."""
        return asyncio.run_coroutine_threadsafe(self._infer(samples), self._loop)

    async def _start(self) -> None:
        self._engine.start()
        await self._engine.started()

    async def _infer(self, samples: Samples) -> None:
        first, *second = (list(column) for column in zip(*samples, strict=True))
        try:
            await self._engine.infer(first, second[0] if second else None, timeout=_SILENCE_SECONDS)
        except ReplankError as error:
            if self._engine.state == "ready":
                raise RefusedError(type(error).__name__, error.message) from error
            raise


class HttpTarget(Target):
    """A replank server behind a URL, over kept-alive connections with one request at a time on each.

    :raises UsageError: it is not an HTTP URL.
    :raises ReplankError: nothing answers there, it is not a replank server, or it is not ready.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url} is not the URL of a server", hint="a URL looks like http://localhost:8080")
        self._url, self._parts = url.rstrip("/"), parts
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="replank-client")
        info = self._info()
        limits = info["limits"]
        self.width = 2 if info["task"]["is_pair"] else 1
        self.request_texts = int(limits["max_texts"])
        request_tokens = self.request_texts * int(info["max_length"])
        self.in_flight = _requests_at_once(int(limits["max_queue_tokens"]), request_tokens)
        self.facts = {"kind": "url", "url": self._url} | {
            name: info.get(name) for name in ("model", "precision", "layers", "device", "limits", "versions")
        }

    def submit(self, samples: Samples) -> Future[None]:
        """Send a request on the next free connection."""
        return self._pool.submit(self._predict, samples)

    def _info(self) -> dict[str, Any]:
        status, body = self._ask("GET", "/info")
        try:
            info: dict[str, Any] = json.loads(body)
            if status == 200 and {"max_texts", "max_queue_tokens"} <= set(info["limits"]) and "is_pair" in info["task"]:
                return info
        except (ValueError, KeyError, TypeError):
            pass
        raise ReplankError(
            f"{self._url} is not a replank server: GET /info answered {status}",
            hint="start one with: replank serve MODEL",
        )

    def _predict(self, samples: Samples) -> None:
        inputs = [sample[0] for sample in samples] if self.width == 1 else [list(sample) for sample in samples]
        status, body = self._ask("POST", "/predict", json.dumps({"inputs": inputs}).encode())
        if status == 503:
            raise ReplankError(f"{self._url} stopped answering: {_reason(body)}", hint="is the server shutting down?")
        if status != 200:
            raise RefusedError(f"HTTP {status}", f"{self._url} answered {status}: {_reason(body)}")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request; retried once if the server had closed an idle connection."""
        headers = {"content-type": "application/json"} if body else {}
        for is_last in (False, True):
            fresh = not hasattr(self._local, "connection")
            try:
                connection = self._connection()
                connection.request(method, self._parts.path.rstrip("/") + path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._forget()
                stale = isinstance(error, ConnectionError | http.client.RemoteDisconnected) and not fresh
                if is_last or not stale:
                    raise self._gone(error) from None
        raise AssertionError("the second try returns or raises")

    def _connection(self) -> http.client.HTTPConnection:
        """This thread's connection."""
        if not hasattr(self._local, "connection"):
            kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            connection = kind(self._parts.netloc.rpartition("@")[2], timeout=_SILENCE_SECONDS)
            connection.connect()
            # http.client sends head and body apart; Nagle's algorithm would delay the second.
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._local.connection = connection
        kept: http.client.HTTPConnection = self._local.connection
        return kept

    def _forget(self) -> None:
        if hasattr(self._local, "connection"):
            self._local.connection.close()
            del self._local.connection

    def _gone(self, error: Exception) -> ReplankError:
        if isinstance(error, TimeoutError):
            return ReplankError(f"{self._url} was silent for {_SILENCE_SECONDS:g} s", hint="is the server overloaded?")
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return ReplankError(
            f"{self._url} does not answer: {reason}", hint="is the server running, and is its port right?"
        )


def _requests_at_once(max_queue_tokens: int, request_tokens: int) -> int:
    """The number of concurrent requests that fit in the queue, whatever the length of their texts."""
    return max(1, min(_CONNECTIONS, max_queue_tokens // request_tokens))


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace").strip() or "no reason given"
