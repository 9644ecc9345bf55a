"""A loaded model: its name, its engine, and the requests that use it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replank.runtime.model import Model
from replank.system.errors import UsageError
from replank_serve.engine.engine import Engine

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")


class LoadedModel:
    """A model with its engine.

    :param name: the name that clients use.
    """

    def __init__(self, name: str, model: Model, engine: Engine) -> None:
        self.name = name
        self.model = model
        self.engine = engine
        self.unused = asyncio.Event()
        self.unused.set()
        self._users = 0

    @contextmanager
    def use(self) -> Iterator[LoadedModel]:
        """Keep the engine open for a request, even if the model is unloaded or replaced meanwhile."""
        self._users += 1
        self.unused.clear()
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self.unused.set()

    @property
    def source_name(self) -> str:
        """The name of the model's folder or on the hub, without the folders of this machine."""
        path = Path(self.model.source.name)
        return path.resolve().name if path.exists() else self.model.source.name

    @property
    def digest(self) -> str | None:
        """sha256 of the artifact's manifest; ``None`` for a plain model folder."""
        artifact = self.model.source.artifact
        return artifact.manifest.digest if artifact else None


def name_for(source_name: str) -> str:
    """A name for a model, derived from its folder or its hub name."""
    return _OTHER_CHARACTERS.sub("-", Path(source_name).resolve().name).strip("._-")[:64] or "model"


def checked_name(name: str) -> str:
    """A model's name that is safe in a URL's path.

    :raises UsageError: it is too long or has other characters.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:64]!r} is no name for a model: letters, digits, . _ - are possible, 64 at most")
    return name
