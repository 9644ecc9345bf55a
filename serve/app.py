"""The HTTP application: one model behind routes in the shape of Hugging Face's text-embeddings-inference."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from replank.answers import Score, answers
from replank.environment import versions
from replank.errors import DeadlineError, NotReadyError, UsageError
from replank.extras import installed_version
from replank.runtime import Model
from replank.tasks import Task
from serve.body import read_body, while_connected
from serve.engine import Engine, Inference
from serve.errors import RequestContext, add_error_handlers
from serve.schema import (
    ErrorBody,
    Info,
    Limits,
    PredictRequest,
    ScoreBody,
    StatusBody,
    TaskInfo,
    read_question,
)
from serve.static import add_pages


@dataclass(frozen=True)
class ServeConfig:
    """How a model is served.

    :param host: address to listen on; everybody's with ``0.0.0.0``.
    :param port: 0 takes a free one.
    :param max_batch: texts or pairs that run together.
    :param max_queue: texts or pairs that may wait; beyond it requests are refused with 429.
    :param max_texts: texts or pairs of one request.
    :param max_body_bytes: size of one request.
    :param timeout_seconds: until a request is answered with 504; reading it, and its wait, count.
    :param drain_seconds: how long requests may take to end after SIGTERM.
    :raises UsageError: a value out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    max_batch: int = 16
    max_queue: int = 512
    max_texts: int = 32
    max_body_bytes: int = 2_000_000
    timeout_seconds: float = 30.0
    drain_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_queue", "max_texts", "max_body_bytes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{_flag(name)} {getattr(self, name)}: expected at least 1")
        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port {self.port}: expected 0 (any free port) to 65535")
        if self.max_texts > self.max_queue:
            raise UsageError(
                f"--max-texts {self.max_texts}: such a request never fits into --max-queue {self.max_queue}"
            )
        if not (self.timeout_seconds > 0 and math.isfinite(self.timeout_seconds)):
            raise UsageError(f"--timeout-seconds {self.timeout_seconds}: expected more than 0")
        if not (self.drain_seconds >= 0 and math.isfinite(self.drain_seconds)):
            raise UsageError(f"--drain-seconds {self.drain_seconds}: expected 0 or more")


def build_app(model: Model, config: ServeConfig) -> FastAPI:
    """The application of one model. Its engine, in ``app.state.engine``, lives as long as its lifespan."""
    engine = Engine(model, max_batch=config.max_batch, max_queue=config.max_queue)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Warming up goes on while probes are answered already: live, but not ready.
        engine.start()
        yield
        await engine.close(config.drain_seconds)

    app = FastAPI(
        title=f"replank: {_name(model)}",
        description=f"{model.task.kind.capitalize()} with {_name(model)}.",
        version=installed_version("replank") or "unknown",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.engine = engine
    app.add_middleware(RequestContext)
    add_error_handlers(app)
    _add_predict(app, model, engine, config)
    _add_probes(app, engine)
    _add_info(app, _info(model, config))
    add_pages(app)
    return app


def _add_predict(app: FastAPI, model: Model, engine: Engine, config: ServeConfig) -> None:
    refusals = {400: "not JSON", 413: "too large", 415: "not application/json", 422: "not the task's inputs"}
    failures = {429: "the queue is full", 500: "the model failed", 503: "not ready", 504: "past the deadline"}

    @app.post(
        "/predict",
        summary="Classify texts or pairs",
        description="One input is answered with its labels, the likeliest first; a list of inputs with a "
        "list of such answers. The headers x-tokenization-time, x-queue-time and x-inference-time "
        "(milliseconds) and x-batch-size tell where the time went.",
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": _request_schema(model.task)}}},
        response_description="labels and scores",
        response_model=list[ScoreBody] | list[list[ScoreBody]],
        responses={status: {"model": ErrorBody, "description": text} for status, text in (refusals | failures).items()},
    )
    async def predict(request: Request) -> Response:
        deadline = time.monotonic() + config.timeout_seconds
        try:
            async with asyncio.timeout(config.timeout_seconds):
                body = await read_body(request, config.max_body_bytes)
        except TimeoutError:
            raise DeadlineError(f"the body did not arrive within {config.timeout_seconds:g} seconds") from None
        question = read_question(body, model.task, config.max_texts)
        work = engine.infer(question.first, question.second, timeout=deadline - time.monotonic())
        inference = await while_connected(request, work)
        scores: list[list[Score]] = [row[: question.top] for row in answers(model.task, inference.logits)]
        content = orjson.dumps(scores if question.many else scores[0])
        return Response(content, headers=_timing(inference), media_type="application/json")


def _add_probes(app: FastAPI, engine: Engine) -> None:
    @app.get("/health", summary="Whether the process is alive", responses=_unavailable("the engine has died"))
    async def health() -> StatusBody:
        # Only a restart helps against a dead engine, which is what orchestrators do to a process not live.
        if engine.state == "dead":
            raise NotReadyError("the inference engine has died")
        return StatusBody(status="live")

    @app.get(
        "/ready",
        summary="Whether requests are answered now",
        responses=_unavailable("starting, draining, or the engine has died"),
    )
    async def ready() -> StatusBody:
        if engine.state != "ready":
            raise NotReadyError(f"not ready: {engine.state}")
        return StatusBody(status="ready")


def _unavailable(when: str) -> dict[int | str, dict[str, Any]]:
    return {503: {"model": ErrorBody, "description": when}}


def _add_info(app: FastAPI, facts: Info) -> None:
    @app.get("/info", summary="The model, its task, and the limits of this server")
    async def info() -> Info:
        return facts


def _info(model: Model, config: ServeConfig) -> Info:
    source, task = model.source, model.task
    manifest = source.artifact.manifest if source.artifact else None
    return Info(
        model=_name(model),
        digest=manifest.digest if manifest else None,
        kind=source.kind,
        precision=source.precision,
        layers=source.layers,
        device=model.device,
        provider=model.provider,
        arithmetic=model.arithmetic,
        max_length=model.text_encoder.max_length,
        task=TaskInfo(
            name=task.name,
            kind=task.kind,
            labels=list(task.labels),
            columns=list(task.columns),
            is_pair=task.is_pair,
        ),
        quality=manifest.quality["metrics"] if manifest and manifest.quality else None,
        limits=Limits(**{name: getattr(config, name) for name in Limits.model_fields}),
        versions=versions(),
    )


def _request_schema(task: Task) -> dict[str, Any]:
    """The schema of a request with examples that fit the task."""
    one: Any = ["How old are you?", "What is your age?"] if task.is_pair else "What a wonderful film!"
    other: Any = ["It rains.", "The sun shines."] if task.is_pair else "I want my money back."
    examples = {
        "one": {"summary": "One pair" if task.is_pair else "One text", "value": {"inputs": one}},
        "many": {"summary": "Several, likeliest label only", "value": {"inputs": [one, other], "top": 1}},
    }
    return {"schema": PredictRequest.model_json_schema(), "examples": examples}


def _timing(inference: Inference) -> dict[str, str]:
    return {
        "x-tokenization-time": f"{inference.tokenization_ms:.3f}",
        "x-queue-time": f"{inference.queue_ms:.3f}",
        "x-inference-time": f"{inference.inference_ms:.3f}",
        "x-batch-size": str(inference.batch_size),
    }


def _name(model: Model) -> str:
    """The model's name without the folders of this machine."""
    path = Path(model.source.name)
    return path.resolve().name if path.exists() else model.source.name


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
