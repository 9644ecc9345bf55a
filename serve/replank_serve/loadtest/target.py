"""What a load test asks: an engine in this process, or a server behind a URL. Both take requests and answer later."""

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
from replank.runtime.model import load_model, require_whole_texts
from replank.system.errors import ReplankError, UsageError
from replank_serve.engine.engine import Engine
from replank_serve.engine.limits import EngineLimits

Texts = Sequence[tuple[str, ...]]
# A server's own deadline, 30 s unless told otherwise, comes first: what is silent for longer hangs.
_SILENCE_SECONDS = 60.0
_CONNECTIONS = 128
# Texts of one request to an engine, as many as a server takes by default.
_REQUEST_TEXTS = 32


class RefusedError(ReplankError):
    """One request was answered with an error, such as a full queue's; others may be answered well.

    :param reason: in a word, to be counted by.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Target(ABC):
    """Something that answers texts.

    :param facts: what it is, as JSON values.
    :param width: texts of one example: 2 where pairs are compared.
    :param request_texts: examples that one request may hold.
    :param in_flight: requests of so many examples that may be under way together without being refused.
    """

    facts: dict[str, Any]
    width: int
    request_texts: int
    in_flight: int

    @abstractmethod
    def submit(self, texts: Texts) -> Future[None]:
        """Ask, and do not wait.

        The future fails with :class:`RefusedError` if this request was refused, and with any other
        :class:`ReplankError` if the target is gone.
        """


def open_target(name: str, device: Any, threads: int | None) -> Target:
    """The target that a URL, a folder or a hub name stands for."""
    return HttpTarget(name) if "://" in name else EngineTarget(name, device, threads)


class EngineTarget(Target):
    """The engine that the server has, with its default limits and without HTTP."""

    def __init__(self, name: str, device: Any, threads: int | None) -> None:
        source = open_source(name)
        require_whole_texts(source, "loadtest")
        model, limits = load_model(source, device=device, threads=threads), EngineLimits()
        self.width = 2 if model.task.is_pair else 1
        self.request_texts = _REQUEST_TEXTS
        self.in_flight = _requests_at_once(limits.max_queue_tokens, _REQUEST_TEXTS * model.text_encoder.max_length)
        self.facts = {
            "kind": "engine",
            "model": source.as_parent()["name"],
            "precision": source.precision,
            "layers": source.layers,
            "device": model.device,
        }
        self._engine = Engine(model, limits)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="replank-engine", daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    def submit(self, texts: Texts) -> Future[None]:
        """Hand a request to the engine's event loop."""
        return asyncio.run_coroutine_threadsafe(self._infer(texts), self._loop)

    async def _start(self) -> None:
        self._engine.start()
        await self._engine.started()

    async def _infer(self, texts: Texts) -> None:
        first, *second = (list(column) for column in zip(*texts, strict=True))
        try:
            await self._engine.infer(first, second[0] if second else None, timeout=_SILENCE_SECONDS)
        except ReplankError as error:
            if self._engine.state == "ready":
                raise RefusedError(type(error).__name__, error.message) from error
            raise


class HttpTarget(Target):
    """A server that ``replank serve`` started: connections are kept alive, one request at a time on each.

    :raises UsageError: no http URL.
    :raises ReplankError: nothing answers there, or no server of replank's, or one that is not ready.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url} is no URL of a server", hint="such as http://localhost:8080")
        self._url, self._parts = url.rstrip("/"), parts
        self._kept = threading.local()
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

    def submit(self, texts: Texts) -> Future[None]:
        """Hand a request to the next free connection."""
        return self._pool.submit(self._predict, texts)

    def _info(self) -> dict[str, Any]:
        status, body = self._ask("GET", "/info")
        try:
            info: dict[str, Any] = json.loads(body)
            if status == 200 and {"max_texts", "max_queue_tokens"} <= set(info["limits"]) and "is_pair" in info["task"]:
                return info
        except (ValueError, KeyError, TypeError):
            pass
        raise ReplankError(
            f"{self._url} is no server of replank's: GET /info answered {status}",
            hint="start one with: replank serve MODEL",
        )

    def _predict(self, texts: Texts) -> None:
        inputs = [text[0] for text in texts] if self.width == 1 else [list(text) for text in texts]
        status, body = self._ask("POST", "/predict", json.dumps({"inputs": inputs}).encode())
        if status == 503:
            raise ReplankError(f"{self._url} stopped answering: {_reason(body)}", hint="is the server shutting down?")
        if status != 200:
            raise RefusedError(f"HTTP {status}", f"{self._url} answered {status}: {_reason(body)}")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request; a second time where the server closed a connection that had been idle."""
        headers = {"content-type": "application/json"} if body else {}
        for is_last in (False, True):
            fresh = not hasattr(self._kept, "connection")
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
        if not hasattr(self._kept, "connection"):
            kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            connection = kind(self._parts.netloc.rpartition("@")[2], timeout=_SILENCE_SECONDS)
            connection.connect()
            # A head and a body in two packets would otherwise wait for each other.
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._kept.connection = connection
        kept: http.client.HTTPConnection = self._kept.connection
        return kept

    def _forget(self) -> None:
        if hasattr(self._kept, "connection"):
            self._kept.connection.close()
            del self._kept.connection

    def _gone(self, error: Exception) -> ReplankError:
        if isinstance(error, TimeoutError):
            return ReplankError(f"{self._url} was silent for {_SILENCE_SECONDS:g} s", hint="is the server overloaded?")
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return ReplankError(
            f"{self._url} does not answer: {reason}", hint="is the server running, and is its port right?"
        )


def _requests_at_once(max_queue_tokens: int, request_tokens: int) -> int:
    """Requests that are never refused together, however long their texts are."""
    return max(1, min(_CONNECTIONS, max_queue_tokens // request_tokens))


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace").strip() or "without a word"
