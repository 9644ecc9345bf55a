"""The settings of the server."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from replank.runtime.model import Model
from replank.system.errors import FieldError
from replank.system.settings import setting
from replank_serve.engine.limits import EngineLimits

Loader = Callable[[Path], Model]
_ORIGIN = re.compile(r"\*|https?://[^/\s]+")


@dataclass(frozen=True)
class ServeConfig(EngineLimits):
    """The settings of the server, including the limits of each model's engine.

    :param host: address to listen on; ``0.0.0.0`` stands for all.
    :param port: port to listen on; 0 takes a free one.
    :param max_texts: texts or pairs per request.
    :param max_body_bytes: size of a request's body.
    :param timeout_seconds: deadline of a request, from its first byte; beyond it, requests get 504.
    :param drain_seconds: time for pending requests after SIGTERM.
    :param log_requests: log every request, not only those that fail with a server error.
    :param json_logs: log JSON objects, one per line.
    :param api_keys: valid API keys, of which each request must carry one; without any, none is needed.
    :param cors_origins: origins of web pages that may call the server, such as ``https://example.org``.
    :param loader: loads a folder that a client names; ``None`` lets no client load or unload models.
    :raises FieldError: a value out of range.
    """

    host: str = setting("127.0.0.1", "Address to listen on; 0.0.0.0 listens on all.")
    port: int = setting(8080, "Port to listen on; 0 takes a free one.")
    max_texts: int = setting(32, "Maximum texts per request.")
    max_body_bytes: int = setting(2_000_000, "Maximum size of a request, in bytes.")
    timeout_seconds: float = setting(30.0, "Deadline of a request; beyond it, requests get 504.")
    drain_seconds: float = setting(10.0, "Time for pending requests to end after SIGTERM.")
    log_requests: bool = setting(False, "Log every request, not only failures.")
    json_logs: bool = setting(False, "Log JSON objects, one per line.")
    cors_origins: tuple[str, ...] = setting(
        (), "Origin of a web page that may call the server; repeatable; * is all.", flag="cors-origin"
    )
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    loader: Loader | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_texts", "max_body_bytes"):
            if getattr(self, name) < 1:
                raise FieldError(name, getattr(self, name), "at least 1")
        if not 0 <= self.port <= 65535:
            raise FieldError("port", self.port, "0 (any free port) to 65535")
        if not (self.timeout_seconds > 0 and math.isfinite(self.timeout_seconds)):
            raise FieldError("timeout_seconds", self.timeout_seconds, "more than 0")
        if not (self.drain_seconds >= 0 and math.isfinite(self.drain_seconds)):
            raise FieldError("drain_seconds", self.drain_seconds, "0 or more")
        for origin in self.cors_origins:
            if not _ORIGIN.fullmatch(origin):
                raise FieldError("cors_origins", origin, "an origin such as https://example.org, without a path")
