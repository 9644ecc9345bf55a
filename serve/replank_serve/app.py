"""The HTTP application: models behind routes shaped as text-embeddings-inference's, and under /v2."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from replank.runtime.model import Model
from replank.system.extras import installed_version
from replank_serve.engine.engine import Engine
from replank_serve.http.config import ServeConfig as ServeConfig
from replank_serve.http.context import RequestContext
from replank_serve.http.errors import add_error_handlers
from replank_serve.http.metrics import Metrics
from replank_serve.http.security import RequireKey
from replank_serve.http.telemetry import telemetry
from replank_serve.models.loaded_model import name_for
from replank_serve.models.registry import Models
from replank_serve.routes.hosting import Hosting
from replank_serve.routes.inference import add_answering
from replank_serve.routes.loading import add_loading
from replank_serve.routes.openinference import add_open_inference
from replank_serve.routes.pages import add_pages
from replank_serve.routes.probes import add_probes

# What the page of another origin may read beside the answer.
_READABLE = ("x-request-id", "x-model", "x-tokenization-time", "x-queue-time", "x-inference-time", "x-batch-size")


def build_app(models: Model | Mapping[str, Model], config: ServeConfig) -> FastAPI:
    """The application of some models. Their engines, in ``app.state.engine``, live as long as its lifespan.

    :param models: by name, the first answers where a request names none; or just one.
    """
    named = {name_for(models.source.name): models} if isinstance(models, Model) else models
    metrics = Metrics()

    def make_engine(name: str, model: Model) -> Engine:
        return Engine(model, config, metrics.on_batch(name))

    loaded = Models(named, make_engine, config.drain_seconds)
    metrics.watch(loaded)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Warming up goes on while probes are answered already: live, but not ready.
        loaded.start()
        yield
        await loaded.close()

    first, names = loaded.get(), ", ".join(served.name for served in loaded)
    app = FastAPI(
        title=f"replank: {names}",
        description=f"{first.model.task.kind.name.capitalize()} with {names}.",
        version=installed_version("replank") or "unknown",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry=telemetry(),
    )
    app.state.engine = loaded
    # The last that is added is the first that sees a request.
    if config.api_keys:
        app.add_middleware(RequireKey, keys=config.api_keys)
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "traceparent", "x-request-id"],
            expose_headers=_READABLE,
        )
    app.add_middleware(RequestContext, metrics=metrics)
    add_error_handlers(app)
    hosting = Hosting(loaded, config, metrics)
    add_answering(app, hosting, first.model.task)
    add_probes(app, hosting)
    if config.loader:
        add_loading(app, hosting, config.loader)
    add_open_inference(app, hosting)
    add_pages(app)
    return app
