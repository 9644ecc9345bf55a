"""The HTTP application.

Its routes are shaped like text-embeddings-inference's and, at ``POST /``, like Hugging Face's Inference API; the Open
Inference Protocol is under ``/v2``. OpenAI's, Cohere's and Jina's clients find vectors and rankings under ``/v1``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from replank.graphs.knowledge import KnowledgeGraph
from replank.runtime.model import Model
from replank.system.extras import installed_version
from replank_serve.engine.engine import Engine
from replank_serve.http.config import ServeConfig as ServeConfig
from replank_serve.http.direct_routes import DirectRoutes
from replank_serve.http.errors import add_error_handlers
from replank_serve.http.metrics import Metrics
from replank_serve.http.middleware import RequestContextMiddleware
from replank_serve.http.security import ApiKeyMiddleware
from replank_serve.http.telemetry import telemetry
from replank_serve.models.loaded_model import name_for
from replank_serve.models.registry import ModelRegistry
from replank_serve.routes.fill_mask import add_fill_mask
from replank_serve.routes.hub import add_hub
from replank_serve.routes.inference import add_inference
from replank_serve.routes.loading import add_loading
from replank_serve.routes.openai import add_openai
from replank_serve.routes.openapi import raw_routes
from replank_serve.routes.openinference import add_open_inference
from replank_serve.routes.pages import add_pages
from replank_serve.routes.probes import add_probes
from replank_serve.routes.relations import add_relations
from replank_serve.routes.rerank import add_rerank
from replank_serve.routes.service import InferenceService
from replank_serve.routes.zero_shot import add_zero_shot

# Response headers that web pages of other origins may read.
_EXPOSED = (
    "x-request-id",
    "x-model",
    "x-tokenization-time",
    "x-queue-time",
    "x-inference-time",
    "x-batch-size",
    "x-compute-tokens",
    "x-truncated-texts",
    "x-ignored-fields",
)


def build_app(models: Model | Mapping[str, Model], config: ServeConfig) -> FastAPI:
    """An ASGI application that serves models. Their engines, in ``app.state.engine``, live as long as its lifespan.

    :param models: the models by name, of which the first is the default; or one model.
    """
    named = {name_for(models.source.name): models} if isinstance(models, Model) else models
    metrics = Metrics()
    registry = ModelRegistry(
        named, lambda name, model: Engine(model, config, metrics.on_batch(name)), config.drain_seconds
    )
    metrics.watch(registry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Probes are answered during the warm-up: the server is live but not ready.
        registry.start()
        yield
        await registry.close()

    default, names = registry.get(), ", ".join(loaded.name for loaded in registry)
    app = FastAPI(
        title=f"replank: {names}",
        description=f"{default.model.task.kind.name.capitalize()} with {names}.",
        version=installed_version("replank") or "unknown",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry=telemetry(),
    )
    app.state.engine = registry
    add_error_handlers(app)
    service = InferenceService(registry, config, metrics)
    add_inference(app, service, default.model.task)
    if config.graph is not None:
        add_relations(app, service, KnowledgeGraph.open(config.graph))
    add_probes(app, service)
    if config.loader:
        add_loading(app, service, config.loader)
    add_open_inference(app, service)
    add_openai(app, service)
    add_rerank(app, service)
    add_zero_shot(app, service)
    add_fill_mask(app, service)
    add_hub(app, service)
    add_pages(app)
    _add_middleware(app, config, metrics)
    return app


def _add_middleware(app: FastAPI, config: ServeConfig, metrics: Metrics) -> None:
    """Add the middleware, innermost first."""
    app.add_middleware(DirectRoutes, routes=raw_routes(app))
    if config.api_keys:
        app.add_middleware(ApiKeyMiddleware, keys=(*config.api_keys, *config.admin_keys))
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "traceparent", "x-request-id"],
            expose_headers=_EXPOSED,
        )
    app.add_middleware(RequestContextMiddleware, metrics=metrics)
