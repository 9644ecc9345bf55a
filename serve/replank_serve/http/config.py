"""How models are served: every setting of the server, checked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from replank.runtime.model import Model
from replank.system.errors import UsageError

Loader = Callable[[Path], Model]
_ORIGIN = re.compile(r"\*|https?://[^/\s]+")


@dataclass(frozen=True)
class ServeConfig:
    """How models are served.

    :param host: address to listen on; everybody's with ``0.0.0.0``.
    :param port: 0 takes a free one.
    :param max_batch: texts or pairs that run together.
    :param max_batch_tokens: tokens that run together, padding included; a longer text runs alone.
    :param max_queue_tokens: tokens that may wait for one model; beyond it requests are refused with 429.
    :param max_texts: texts or pairs of one request.
    :param max_body_bytes: size of one request.
    :param timeout_seconds: until a request is answered with 504; reading it, and its wait, count.
    :param drain_seconds: how long requests may take to end after SIGTERM.
    :param log_requests: whether every request has a line in the log, and not only those that the server fails.
    :param json_logs: whether a line of the log is one JSON object.
    :param api_keys: of which each request must bring one; empty asks for none.
    :param cors_origins: web pages of other origins that may ask, such as ``https://example.org``.
    :param loader: what loads a folder that a client names; ``None`` lets no client load or unload models.
    :raises UsageError: a value out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    max_batch: int = 16
    max_batch_tokens: int = 2048
    max_queue_tokens: int = 32_768
    max_texts: int = 32
    max_body_bytes: int = 2_000_000
    timeout_seconds: float = 30.0
    drain_seconds: float = 10.0
    log_requests: bool = False
    json_logs: bool = False
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    cors_origins: tuple[str, ...] = ()
    loader: Loader | None = None

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_batch_tokens", "max_queue_tokens", "max_texts", "max_body_bytes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{_flag(name)} {getattr(self, name)}: expected at least 1")
        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port {self.port}: expected 0 (any free port) to 65535")
        if not (self.timeout_seconds > 0 and math.isfinite(self.timeout_seconds)):
            raise UsageError(f"--timeout-seconds {self.timeout_seconds}: expected more than 0")
        if not (self.drain_seconds >= 0 and math.isfinite(self.drain_seconds)):
            raise UsageError(f"--drain-seconds {self.drain_seconds}: expected 0 or more")
        for origin in self.cors_origins:
            if not _ORIGIN.fullmatch(origin):
                raise UsageError(f"--cors-origin {origin}: expected such as https://example.org, without a path")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
