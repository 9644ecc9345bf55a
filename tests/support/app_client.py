"""The application under test: called in this process, and what its answers must look like."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from replank.runtime.model import Model
from replank_serve.app import ServeConfig, build_app
from replank_serve.engine.engine import Engine
from waiting import HANG_SECONDS

JSON = {"content-type": "application/json"}


CONFIG = ServeConfig(max_texts=4, max_batch=4, max_queue_tokens=256, max_body_bytes=2000, timeout_seconds=HANG_SECONDS)


Client = Callable[[httpx.AsyncClient, Engine], Awaitable[None]]


Models = Model | Mapping[str, Model]


def with_app(model: Models, client: Client, config: ServeConfig = CONFIG, *, warm: bool = True) -> None:
    """Run a client against the application, within its lifespan."""

    async def work() -> None:
        async with asyncio.timeout(HANG_SECONDS), running(model, config, warm=warm) as (http, engine):
            await client(http, engine)

    asyncio.run(work())


def expected(model: Model, first: list[str], second: list[str] | None = None) -> list[list[dict[str, Any]]]:
    scores = model.task.kind.scores(model.task.labels, model.logits(first, second))
    return [[{"label": score.label, "score": pytest.approx(score.score, abs=1e-5)} for score in row] for row in scores]


def assert_error(response: httpx.Response, status: int, kind: str, message: str) -> None:
    body = response.json()
    assert (response.status_code, body["error_type"]) == (status, kind)
    assert re.search(message, body["error"]), body["error"]
    assert set(body) == {"error", "error_type", "request_id"}
    assert body["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    assert "Traceback" not in response.text


@asynccontextmanager
async def running(model: Models, config: ServeConfig, *, warm: bool) -> AsyncIterator[tuple[httpx.AsyncClient, Engine]]:
    app = build_app(model, config)
    async with app.router.lifespan_context(app):
        if warm:
            await app.state.engine.started()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
            yield http, app.state.engine.get().engine


async def post(http: httpx.AsyncClient, body: object, path: str = "/predict") -> httpx.Response:
    # ensure_ascii spells a lone surrogate as an escape, as JavaScript does.
    return await http.post(path, content=json.dumps(body), headers=JSON)


async def until(engine: Engine, waiting: int) -> None:
    while engine.waiting != waiting or engine._tokenizing.items:
        await asyncio.sleep(0.001)
