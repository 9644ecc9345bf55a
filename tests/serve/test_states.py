"""What the application says of its engine: warming up, draining, dead, failing, overloaded, late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from app_client import CONFIG, JSON, assert_error, post, until, with_app
from held_model import Held
from replank.runtime.model import Model
from replank.runtime.predictors import Logits
from replank.text.padding import Batch
from replank_serve.engine.engine import Engine
from waiting import HANG_SECONDS


def test_ready_is_false_before_the_warm_up_and_while_draining_and_health_is_not(model: Model) -> None:
    held = Held(model)

    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        assert_error(await http.get("/ready"), 503, "unhealthy", "not ready: starting")
        assert_error(await post(http, {"inputs": "a"}), 503, "unhealthy", "warming up")
        assert (await http.get("/health")).json() == {"status": "live"}
        held.gate.set()
        await engine.started()
        assert (await http.get("/ready")).json() == {"status": "ready"}
        engine.drain()
        assert_error(await http.get("/ready"), 503, "unhealthy", "not ready: draining")
        assert_error(await post(http, {"inputs": "a"}), 503, "unhealthy", "shutting down")
        assert (await http.get("/health")).status_code == 200

    with_app(replace(model, predictor=held), client, warm=False)


def test_a_probe_that_is_told_to_wait_is_no_failure(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    held = Held(model)

    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        assert (await http.get("/ready")).status_code == 503
        assert (await post(http, {"inputs": "a"})).status_code == 503
        held.gate.set()
        await engine.started()

    with_app(replace(model, predictor=held), client, warm=False)
    told = [record.getMessage() for record in caplog.records if record.name == "replank_serve.request"]
    assert [line.split()[:3] for line in told] == [["POST", "/predict", "503"]]


def test_a_dead_engine_is_neither_ready_nor_healthy(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    def predictor(batch: Batch) -> Logits:
        if batch.shape == (1, 3):
            raise SystemExit("gone")
        return model.predictor(batch)

    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        # The first death is made good.
        assert_error(await post(http, {"inputs": "film"}), 503, "unhealthy", "inference thread died on this request")
        while engine.state != "ready":
            await asyncio.sleep(0.001)
        assert (await post(http, {"inputs": "good film"})).status_code == 200
        assert_error(await post(http, {"inputs": "film"}), 503, "unhealthy", "inference thread died on this request")
        assert_error(await http.get("/ready"), 503, "unhealthy", "not ready: dead")
        assert_error(await http.get("/health"), 503, "unhealthy", "engine has died")

    with_app(replace(model, predictor=predictor), client)
    assert "the inference thread died" in caplog.text


def test_a_failing_model_is_500_without_its_secrets(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    def predictor(batch: Batch) -> Logits:
        if batch.shape == (1, 3):
            raise RuntimeError("internal detail")
        return model.predictor(batch)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await post(http, {"inputs": "film"})
        assert_error(response, 500, "internal", "the model failed on this request")
        assert "internal detail" not in response.text
        assert (await post(http, {"inputs": "good film"})).status_code == 200

    with_app(replace(model, predictor=predictor), client)
    assert "internal detail" in caplog.text


def test_an_unforeseen_exception_is_500_with_the_error_body(
    model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("nobody thought of this")

    monkeypatch.setattr("replank_serve.routes.answered.answer", broken)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await post(http, {"inputs": "film"})
        assert_error(response, 500, "internal", "^internal error; the server's log has it under the request id$")
        assert f"request {response.headers['x-request-id']} failed" in caplog.text

    with_app(model, client)


def test_overload_sheds_with_retry_after_and_later_requests_are_answered(model: Model) -> None:
    held = Held(model)
    held.gate.set()

    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        held.gate.clear()
        first = asyncio.create_task(post(http, {"inputs": "a"}))
        while engine.waiting or not engine._pending:
            await asyncio.sleep(0.001)
        waiting = []
        for items in (4, 8):
            waiting.append(asyncio.create_task(post(http, {"inputs": ["a", "b", "c", "d"]})))
            await until(engine, items)
        for inputs in (["a", "b", "c", "d"], ["a", "b"]):
            refused = await post(http, {"inputs": inputs})
            assert_error(refused, 429, "overloaded", "24 tokens wait already, and at most 32 may")
            assert refused.headers["retry-after"] == "1"
        held.gate.set()
        assert [response.status_code for response in await asyncio.gather(first, *waiting)] == [200] * 3
        assert (await post(http, {"inputs": "a"})).status_code == 200

    with_app(replace(model, predictor=held), client, replace(CONFIG, max_queue_tokens=32))


def test_the_deadline_is_504_and_covers_reading_the_body(model: Model) -> None:
    held = Held(model)
    held.gate.set()

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"inputs":'
        await asyncio.sleep(2 * HANG_SECONDS)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        held.gate.clear()
        assert_error(await post(http, {"inputs": "a"}), 504, "deadline", r"no answer within 0\.\d+ seconds")
        held.gate.set()
        response = await http.post("/predict", content=slow(), headers=JSON)
        assert_error(response, 504, "deadline", r"the body did not arrive within 0\.2 seconds")

    with_app(replace(model, predictor=held), client, replace(CONFIG, timeout_seconds=0.2))
