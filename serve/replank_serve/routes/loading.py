"""The routes that load and unload models at runtime, if the server allows it."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from fastapi import FastAPI, Request

from replank.runtime.model import Model
from replank.system.errors import NotReadyError, ReplankError, UsageError
from replank_serve.http.config import Loader
from replank_serve.http.security import require_trusted
from replank_serve.routes.openapi import described_body, described_errors
from replank_serve.routes.probes import model_body
from replank_serve.routes.request_parsing import read_body_as
from replank_serve.routes.schema import ErrorBody, LoadRequest, ModelBody, StatusBody
from replank_serve.routes.service import InferenceService

_log = logging.getLogger(__name__)


def add_loading(app: FastAPI, service: InferenceService, loader: Loader) -> None:
    """Add ``POST`` and ``DELETE /models/{name}``."""
    config = service.config
    root = (config.model_root or Path()).absolute()
    allowed = "With an admin key, if the server has any; else with an API key; else from this machine only."
    forbidden = {"model": ErrorBody, "description": "neither from this machine nor with a key of the right kind"}

    @app.post(
        "/models/{name}",
        summary="Load a model, or replace the one of that name",
        description="Requests go to the new model once it is warm; the old one answers its pending requests. "
        f"{allowed}",
        openapi_extra=described_body(LoadRequest, {"load": {"value": {"folder": "int8"}}}),
        responses=described_errors(400, 401, 413, 415, 422, 503, 504) | {403: forbidden},
    )
    async def load(request: Request, name: str) -> ModelBody:
        require_trusted(request, config)
        values, _ = await service.read(request)
        folder = read_body_as(LoadRequest, values).folder
        try:
            return model_body(await service.models.load(name, lambda: _load(loader, root, folder)))
        except NotReadyError:
            raise
        except ReplankError as error:
            # A model that cannot be loaded is the client's mistake, not the server's: 422, not 500.
            raise UsageError(error.message, hint=error.hint) from error

    @app.delete(
        "/models/{name}",
        summary="Unload a model",
        description=f"It answers its pending requests. {allowed}",
        responses=described_errors(401, 404, 422, 503) | {403: forbidden},
    )
    async def unload(request: Request, name: str) -> StatusBody:
        require_trusted(request, config)
        await service.models.unload(name)
        return StatusBody(status="unloaded")


def _load(loader: Loader, root: Path, folder: str) -> Model:
    """The model in a folder that a client named.

    :raises UsageError: without what the loader says, which may name files: clients learn nothing of this machine.
    """
    path = _below(root, folder)
    try:
        return loader(path)
    except (ReplankError, OSError) as error:
        _log.warning("a client's model in %s cannot be loaded: %s", path, error)
        raise UsageError(
            f"folder: {folder[:200]!r} holds no model that can be loaded", hint="the server's log says why"
        ) from None


def _below(root: Path, folder: str) -> Path:
    """A folder below the root; other names would be looked up on the hub.

    :param root: an absolute path.
    :raises UsageError: outside of it or no folder, in the same words.
    """
    path, real_root = Path(os.path.normpath(root / folder)), root.resolve()
    # By its name before the file system is asked at all, and then with its links followed.
    if "\0" not in folder and any(map(path.is_relative_to, (root, real_root))):
        with suppress(OSError, RuntimeError):
            path = path.resolve()
            if path.is_relative_to(real_root) and path.is_dir():
                return path
    raise UsageError(f"folder: {folder[:200]!r} is no folder below the server's model root")
