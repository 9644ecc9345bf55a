"""The routes about the server: liveness and readiness probes, model information, metrics."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from replank.models.int8_facts import Int8Facts
from replank.models.source import Source
from replank.system.environment import versions
from replank.system.errors import NotReadyError
from replank_serve.models.loaded_model import LoadedModel
from replank_serve.routes.openapi import described_errors
from replank_serve.routes.schema import Info, Limits, ModelBody, StatusBody, TaskInfo
from replank_serve.routes.service import InferenceService


def add_probes(app: FastAPI, service: InferenceService) -> None:
    """Add ``/health``, ``/ready``, ``/info``, ``/models`` and ``/metrics``."""
    models = service.models

    @app.get("/health", summary="Whether the process is alive", responses=described_errors(503))
    async def health() -> StatusBody:
        require_alive(service)
        return StatusBody(status="live")

    @app.get("/ready", summary="Whether requests are answered now, by all models", responses=described_errors(503))
    async def ready() -> StatusBody:
        if models.state != "ready":
            raise NotReadyError(f"not ready: {models.state}")
        return StatusBody(status="ready")

    @app.get(
        "/info",
        summary="A model, its task, and the limits of this server",
        responses=described_errors(401, 404, 422, 503),
    )
    async def info(
        model: Annotated[str | None, Query(description="Its name; else the first.")] = None,
    ) -> Info:
        return _info(service, models.get(model))

    @app.get(
        "/models", summary="The loaded models; the first answers where none is named", responses=described_errors(401)
    )
    async def loaded() -> list[ModelBody]:
        return [model_body(model) for model in models]

    @app.get(
        "/metrics",
        summary="Numbers for Prometheus",
        response_class=Response,
        responses=described_errors(401) | {200: {"content": {"text/plain": {}}}},
    )
    async def metrics(request: Request) -> Response:
        content, media_type = service.metrics.exposition(request.headers.get("accept", ""))
        return Response(content, headers={"content-type": media_type})


def require_alive(service: InferenceService) -> None:
    """Fail a liveness probe if an engine is dead, so that the orchestrator restarts the process.

    :raises NotReadyError: an engine is dead.
    """
    if service.models.state == "dead":
        raise NotReadyError("the inference engine has died")


def model_body(loaded: LoadedModel) -> ModelBody:
    """The description of a loaded model."""
    return ModelBody(name=loaded.name, model=loaded.source_name, digest=loaded.digest, state=loaded.engine.state)


def _info(service: InferenceService, loaded: LoadedModel) -> Info:
    model, source, task = loaded.model, loaded.model.source, loaded.model.task
    encoder = model.text_encoder
    return Info(
        **model_body(loaded).model_dump(),
        models=[other.name for other in service.models],
        kind=source.kind,
        precision=source.precision,
        layers=source.layers,
        device=model.device,
        provider=model.provider,
        arithmetic=model.arithmetic,
        batch_invariant=_is_batch_invariant(source),
        max_length=encoder.max_length,
        task=TaskInfo(
            name=task.name,
            kind=task.kind.name,
            route=task.kind.route,
            answers=task.kind.describe(task.labels),
            labels=list(task.labels),
            thresholds=task.thresholds_by_label,
            columns=list(task.columns),
            is_pair=task.is_pair,
            ranks=task.kind.can_rank and task.may_be_pair,
            mask=encoder.token(encoder.mask_id) if task.kind.is_over_vocabulary else None,
        ),
        graph=service.config.graph is not None,
        quality=source.quality.metrics if source.quality else None,
        limits=Limits(**{name: getattr(service.config, name) for name in Limits.model_fields}),
        versions=versions(),
    )


def _is_batch_invariant(source: Source) -> bool | None:
    """Only INT8 may not be; that of other tools does not say."""
    if source.precision != "int8":
        return True
    facts = source.manifest.made_by.facts if source.manifest else None
    return facts.is_batch_invariant if isinstance(facts, Int8Facts) else None
