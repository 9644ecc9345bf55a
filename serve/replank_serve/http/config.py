"""The settings of the server."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from replank.runtime.model import Model
from replank.system.errors import FieldError, UsageError
from replank.system.settings import setting
from replank_serve.engine.limits import EngineLimits

Loader = Callable[[Path], Model]
_ORIGIN = re.compile(r"\*|https?://[^/\s]+")


@dataclass(frozen=True)
class ServeConfig(EngineLimits):
    """The settings of the server, including the limits of each model's engine.

    :param graph: folder with train.txt and names; for models of relation prediction.
    :param host: address to listen on; ``0.0.0.0`` stands for all.
    :param port: port to listen on; 0 takes a free one.
    :param max_texts: texts or pairs per request.
    :param max_passages: passages that are ranked for a query in one request, and pairs of a text and a candidate label.
    :param max_body_bytes: size of a request's body.
    :param timeout_seconds: deadline of a request, from its first byte; beyond it, requests get 504.
    :param drain_seconds: time for pending requests after SIGTERM.
    :param log_requests: log every request, not only those that fail with a server error.
    :param json_logs: log JSON objects, one per line.
    :param api_keys: valid API keys, of which each request must carry one; without any, none is needed.
    :param cors_origins: origins of web pages that may call the server, such as ``https://example.org``.
    :param admin_keys: of which a request to load or unload a model must carry one; without any, it must carry an API
        key or, where there is none, come from this machine.
    :param loader: loads a folder that a client names; ``None`` lets no client load or unload models.
    :param model_root: clients load models from folders below it only; ``None`` is the working folder.
    :raises FieldError: a value out of range.
    :raises UsageError: settings of loading without a loader, or such that any web page could load models.
    """

    graph: Path | None = setting(None, "Folder of a knowledge graph, which POST /relations answers about.")
    host: str = setting("127.0.0.1", "Address to listen on; 0.0.0.0 listens on all.")
    port: int = setting(8080, "Port to listen on; 0 takes a free one.")
    max_texts: int = setting(32, "Maximum texts per request.")
    max_passages: int = setting(1000, "Maximum passages of a query, or texts times candidate labels, per request.")
    max_body_bytes: int = setting(2_000_000, "Maximum size of a request, in bytes.")
    timeout_seconds: float = setting(30.0, "Deadline of a request; beyond it, requests get 504.")
    drain_seconds: float = setting(10.0, "Time for pending requests to end after SIGTERM.")
    log_requests: bool = setting(False, "Log every request, not only failures.")
    json_logs: bool = setting(False, "Log JSON objects, one per line.")
    cors_origins: tuple[str, ...] = setting(
        (), "Origin of a web page that may call the server; repeatable; * is all.", flag="cors-origin"
    )
    model_root: Path | None = setting(
        None, "Folder below which models are loaded at runtime. [default: the working folder]"
    )
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    admin_keys: tuple[str, ...] = field(default=(), repr=False)
    loader: Loader | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_texts", "max_passages", "max_body_bytes"):
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
        self._check_loading()

    def _check_loading(self) -> None:
        for name, value in (("model_root", self.model_root), ("admin_key_file", self.admin_keys)):
            if value and not self.loader:
                raise UsageError(f"`{name}` has no meaning without `allow_load`", hint="add `allow_load=True`")
        if self.model_root and not self.model_root.is_dir():
            raise FieldError("model_root", self.model_root, "a folder")
        if set(self.admin_keys) & set(self.api_keys):
            raise UsageError("an admin key is an API key too, whose holders could load models", hint="make another one")
        if self.loader and "*" in self.cors_origins and not (self.api_keys or self.admin_keys):
            raise UsageError(
                "`allow_load` with `cors_origins=*` and without keys would let any web page load and unload models",
                hint="set `admin_key_file` or `api_key_file`, or name the origins",
            )
