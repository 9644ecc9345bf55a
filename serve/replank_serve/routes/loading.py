"""The routes that load and unload models at runtime, if the server allows it."""

from __future__ import annotations

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


def add_loading(app: FastAPI, service: InferenceService, loader: Loader) -> None:
    """Add ``POST`` and ``DELETE /models/{name}``."""
    has_keys = bool(service.config.api_keys)
    forbidden = {"model": ErrorBody, "description": "neither from this machine nor with an API key"}

    @app.post(
        "/models/{name}",
        summary="Load a model, or replace the one of that name",
        description="Requests go to the new model once it is warm; the old one answers its pending requests. "
        "From this machine only, or with an API key.",
        openapi_extra=described_body(LoadRequest, {"load": {"value": {"folder": "/models/int8"}}}),
        responses=described_errors(400, 401, 413, 415, 422, 503, 504) | {403: forbidden},
    )
    async def load(request: Request, name: str) -> ModelBody:
        require_trusted(request, has_keys)
        values, _ = await service.read(request)
        folder = read_body_as(LoadRequest, values).folder
        try:
            return model_body(await service.models.load(name, lambda: _load(loader, folder)))
        except NotReadyError:
            raise
        except ReplankError as error:
            # A model that cannot be loaded is the client's mistake, not the server's: 422, not 500.
            raise UsageError(error.message, hint=error.hint) from error

    @app.delete(
        "/models/{name}",
        summary="Unload a model",
        description="It answers its pending requests. From this machine only, or with an API key.",
        responses=described_errors(401, 404, 422, 503) | {403: forbidden},
    )
    async def unload(request: Request, name: str) -> StatusBody:
        require_trusted(request, has_keys)
        await service.models.unload(name)
        return StatusBody(status="unloaded")


def _load(loader: Loader, folder: str) -> Model:
    """The model in a folder that a client named."""
    path = Path(folder)
    try:
        # Other names would be looked up on the hub.
        if not path.is_dir():
            raise UsageError(f"folder: {folder[:200]!r} is no folder of the server's machine")
        return loader(path)
    except OSError as error:
        raise UsageError(f"folder: {folder[:200]!r}: {error.strerror}") from None
