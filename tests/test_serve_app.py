"""The application over ASGI: routes, bodies, errors, probes, pages."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from replank.answers import answers
from replank.errors import UsageError
from replank.runtime import Logits, Model, load_model
from replank.source import open_source
from replank.text import Batch
from serve.app import ServeConfig, build_app
from serve.engine import Engine

JSON = {"content-type": "application/json"}
CONFIG = ServeConfig(max_texts=4, max_batch=4, max_queue=8, max_body_bytes=2000, timeout_seconds=5)
STRANGE = {
    "empty": "",
    "blank": " \n\t ",
    "emoji": "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 good",
    "NUL": "good\x00film",
    "lone surrogate": "good \ud83d film",
    "right to left": "\u202e\u05d8\u05d5\u05d1",
    "combining": "e" + "\u0301" * 100,
    "one word": "a" * 1500,
}

Client = Callable[[httpx.AsyncClient, Engine], Awaitable[None]]


@pytest.fixture(scope="module")
def model(onnx_artifact: Path) -> Model:
    return load_model(open_source(onnx_artifact), threads=1)


@pytest.fixture(scope="module")
def pair_model(pair_onnx_artifact: Path) -> Model:
    return load_model(open_source(pair_onnx_artifact), threads=1)


def with_app(model: Model, client: Client, config: ServeConfig = CONFIG, *, warm: bool = True) -> None:
    """Run a client against the application, within its lifespan."""

    async def work() -> None:
        async with asyncio.timeout(20), running(model, config, warm=warm) as (http, engine):
            await client(http, engine)

    asyncio.run(work())


@asynccontextmanager
async def running(model: Model, config: ServeConfig, *, warm: bool) -> AsyncIterator[tuple[httpx.AsyncClient, Engine]]:
    app = build_app(model, config)
    async with app.router.lifespan_context(app):
        if warm:
            await app.state.engine.started()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
            yield http, app.state.engine


async def post(http: httpx.AsyncClient, body: object) -> httpx.Response:
    # ensure_ascii spells a lone surrogate as an escape, as JavaScript does.
    return await http.post("/predict", content=json.dumps(body), headers=JSON)


def expected(model: Model, first: list[str], second: list[str] | None = None) -> list[list[dict[str, Any]]]:
    scores = answers(model.task, model.logits(first, second))
    return [[{"label": score.label, "score": pytest.approx(score.score, abs=1e-5)} for score in row] for row in scores]


def assert_error(response: httpx.Response, status: int, kind: str, message: str) -> None:
    body = response.json()
    assert (response.status_code, body["error_type"]) == (status, kind)
    assert re.search(message, body["error"]), body["error"]
    assert set(body) == {"error", "error_type", "request_id"}
    assert body["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    assert "Traceback" not in response.text


def test_one_text_is_answered_with_its_labels_and_many_with_a_list(model: Model) -> None:
    texts = ["the film is superb", "a very dull plot and awful music", "a"]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        one = await post(http, {"inputs": texts[0]})
        assert one.json() == expected(model, texts)[0]
        assert [score["label"] for score in one.json()] == ["positive", "negative"]
        assert (await post(http, {"inputs": texts})).json() == expected(model, texts)
        assert (await post(http, {"inputs": [[text] for text in texts]})).json() == expected(model, texts)
        assert (await post(http, {"inputs": texts[:1]})).json() == expected(model, texts[:1])
        top = await post(http, {"inputs": texts, "top": 1})
        assert top.json() == [row[:1] for row in expected(model, texts)]
        assert (await post(http, {"inputs": texts[0], "top": 9})).json() == expected(model, texts)[0]

    with_app(model, client)


def test_headers_tell_where_the_time_went(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await post(http, {"inputs": ["good film", "bad film"]})
        times = [float(response.headers[f"x-{part}-time"]) for part in ("queue", "tokenization", "inference")]
        assert all(0 <= time < 5000 for time in times)
        assert times[2] > 0
        assert response.headers["x-batch-size"] == "2"

    with_app(model, client)


def test_pairs(pair_model: Model) -> None:
    first, second = ["the film is superb", "dull plot"], ["a warm scene", "the music is fine"]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        both = expected(pair_model, first, second)
        assert (await post(http, {"inputs": [first[0], second[0]]})).json() == both[0]
        assert (await post(http, {"inputs": [[first[0], second[0]], [first[1], second[1]]]})).json() == both
        assert (await post(http, {"inputs": [[first[0], second[0]]]})).json() == both[:1]
        for inputs, message in (
            ("one text", r"inputs: got one text; expected a pair \[one, two\] of two texts"),
            (["a", "b", "c"], r"inputs\[0\]: got one text"),
            ([["a", "b"], ["c"]], r"inputs\[1\]: got one text"),
            ([["a", "b", "c"]], "inputs: expected a pair"),
            (["a", ["b", "c"]], "inputs: expected a pair"),
        ):
            assert_error(await post(http, {"inputs": inputs}), 422, "validation", message)

    with_app(pair_model, client)


@pytest.mark.parametrize(
    ("body", "status", "kind", "message"),
    [
        ("", 400, "malformed", "not JSON"),
        ('{"inputs": "a"', 400, "malformed", "delimiter at line 1, column 15"),
        (b'{"inputs": "\xff"}', 400, "malformed", "UTF-8"),
        ("[" * 1900, 400, "malformed", "nested too deeply|not JSON"),
        ('["a"]', 422, "validation", "must be a JSON object"),
        ("{}", 422, "validation", "inputs: missing; expected a text, or a list of texts"),
        ('{"inputs": null}', 422, "validation", "inputs: expected a text"),
        ('{"inputs": 5}', 422, "validation", "inputs: expected a text"),
        ('{"inputs": {"a": "b"}}', 422, "validation", "inputs: expected a text"),
        ('{"inputs": []}', 422, "validation", "inputs: the list is empty"),
        ('{"inputs": ["a", 5]}', 422, "validation", "inputs: expected a text"),
        ('{"inputs": [["a", "b"]]}', 422, "validation", r"inputs\[0\]: got 2 texts; expected a text"),
        ('{"inputs": [[]]}', 422, "validation", r"inputs\[0\]: got 0 texts"),
        ('{"inputs": "a", "top": 0}', 422, "validation", "top: .*greater than or equal to 1"),
        ('{"inputs": "a", "top": "1"}', 422, "validation", "top: .*integer"),
        ('{"inputs": "a", "topk": 1}', 422, "validation", "'topk': unknown field"),
        (
            '{"inputs": ["a", "a", "a", "a", "a"]}',
            413,
            "too_large",
            "5 texts or pairs in one request; at most 4",
        ),
        (json.dumps({"inputs": "a" * 2000}), 413, "too_large", "larger than 2000 bytes"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(
    model: Model, body: str | bytes, status: int, kind: str, message: str
) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await http.post("/predict", content=body, headers=JSON)
        assert_error(response, status, kind, message)
        assert (await post(http, {"inputs": "a"})).status_code == 200

    with_app(model, client)


def test_a_body_is_counted_whatever_it_says_of_its_length(model: Model) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 500
            yield b"a" * 500

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await http.post("/predict", content=endless(), headers=JSON)
        assert "content-length" not in response.request.headers
        assert_error(response, 413, "too_large", "larger than 2000 bytes")

    with_app(model, client)
    assert sent <= 3000


def test_only_json_is_read(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        form = await http.post("/predict", content='{"inputs": "a"}', headers={"content-type": "text/plain"})
        assert_error(form, 415, "unsupported_media_type", "type application/json, got text/plain")
        accepted = {"content-type": "Application/JSON; charset=utf-8"}
        assert (await http.post("/predict", content='{"inputs": "a"}', headers=accepted)).status_code == 200

    with_app(model, client)


def test_wrong_routes_and_methods_have_the_same_error_body(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert_error(await http.get("/nothing"), 404, "not_found", "no such route")
        assert_error(await http.get("/page/../app.py"), 404, "not_found", "no such route")
        assert_error(await http.get("/page/nothing.js"), 404, "not_found", "no such route")
        assert_error(await http.post("/predict/"), 404, "not_found", "no such route")
        response = await http.get("/predict")
        assert_error(response, 405, "method_not_allowed", "GET is not possible here")
        assert response.headers["allow"] == "POST"

    with_app(model, client)


@pytest.mark.parametrize("name", STRANGE)
def test_strange_texts_are_answered_and_harm_no_mates(model: Model, name: str) -> None:
    text = STRANGE[name]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        alone, together = await asyncio.gather(
            post(http, {"inputs": text}), post(http, {"inputs": ["the film is good", text, "dull"]})
        )
        assert (alone.status_code, together.status_code) == (200, 200)
        assert together.json() == expected(model, ["the film is good", text, "dull"])
        assert alone.json() == expected(model, [text])[0]

    with_app(model, client)


def test_a_text_beyond_the_models_length_is_truncated_and_answered(model: Model) -> None:
    """text-embeddings-inference #723: an input above the batch's budget was never answered."""
    text = "good film " * 50_000

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert (await post(http, {"inputs": text})).json() == expected(model, [text])[0]

    with_app(model, client, replace(CONFIG, max_body_bytes=1_000_000))


def test_request_ids_are_echoed_or_made(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        given = await http.get("/health", headers={"x-request-id": "order-66"})
        assert given.headers["x-request-id"] == "order-66"
        made = {(await http.get("/health")).headers["x-request-id"] for _ in range(3)}
        assert len(made) == 3
        for refused in ("two words", "x" * 129, "caf\u00e9".encode()):
            headers: Any = {"x-request-id": refused}
            response = await http.get("/health", headers=headers)
            assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])

    with_app(model, client)


class Held:
    """A predictor that waits until it is let go."""

    def __init__(self, model: Model) -> None:
        self.gate = threading.Event()
        self._predictor = model.predictor

    def __call__(self, batch: Batch) -> Logits:
        assert self.gate.wait(10)
        return self._predictor(batch)


async def until(engine: Engine, waiting: int) -> None:
    while engine.waiting != waiting or engine._tokenizing:
        await asyncio.sleep(0.001)


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


def test_a_dead_engine_is_neither_ready_nor_healthy(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    def predictor(batch: Batch) -> Logits:
        if batch.shape == (1, 3):
            raise SystemExit("gone")
        return model.predictor(batch)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert_error(await post(http, {"inputs": "film"}), 503, "unhealthy", "engine has died")
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

    monkeypatch.setattr("serve.app.answers", broken)

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
        while engine.waiting or not engine._tickets:
            await asyncio.sleep(0.001)
        waiting = [asyncio.create_task(post(http, {"inputs": ["a", "b", "c", "d"]})) for _ in range(2)]
        await until(engine, 8)
        for inputs in ("a", ["a", "b"]):
            refused = await post(http, {"inputs": inputs})
            assert_error(refused, 429, "overloaded", "8 texts wait already, and at most 8 may")
            assert refused.headers["retry-after"] == "1"
        held.gate.set()
        assert [response.status_code for response in await asyncio.gather(first, *waiting)] == [200] * 3
        assert (await post(http, {"inputs": "a"})).status_code == 200

    with_app(replace(model, predictor=held), client)


def test_the_deadline_is_504_and_covers_reading_the_body(model: Model) -> None:
    held = Held(model)
    held.gate.set()

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"inputs":'
        await asyncio.sleep(5)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        held.gate.clear()
        assert_error(await post(http, {"inputs": "a"}), 504, "deadline", r"no answer within 0\.\d+ seconds")
        held.gate.set()
        response = await http.post("/predict", content=slow(), headers=JSON)
        assert_error(response, 504, "deadline", r"the body did not arrive within 0\.2 seconds")

    with_app(replace(model, predictor=held), client, replace(CONFIG, timeout_seconds=0.2))


def test_info_tells_model_task_and_limits(model: Model) -> None:
    manifest = open_source(model.source.name).artifact

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        info = (await http.get("/info")).json()
        assert manifest is not None
        assert info["digest"] == manifest.manifest.digest
        assert (info["model"], info["kind"], info["precision"]) == ("onnx", "onnx", "fp32")
        assert (info["layers"], info["device"], info["max_length"]) == (2, "cpu", 32)
        assert info["task"]["labels"] == ["negative", "positive"]
        assert info["task"]["is_pair"] is False
        assert info["limits"] == {
            "max_texts": 4, "max_body_bytes": 2000, "max_batch": 4, "max_queue": 8, "timeout_seconds": 5
        }  # fmt: skip
        assert {"replank", "onnxruntime", "python"} <= set(info["versions"])

    with_app(model, client)


def test_pages_load_nothing_from_elsewhere(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        for path, title in (("/", "Predict"), ("/docs", "API")):
            page = await http.get(path)
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert title in page.text
            policy = page.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            assert "frame-ancestors 'none'" in policy
            assert "http" not in policy
            assert (page.headers["x-frame-options"], page.headers["referrer-policy"]) == (
                "DENY",
                "no-referrer",
            )
            links = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
            assert all(link.startswith(("/", "#", "data:image/svg+xml,")) for link in links)
            for link in links:
                if link.startswith("/"):
                    assert (await http.get(link)).status_code == 200, link

    with_app(model, client)


def test_no_answer_allows_other_origins(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await http.get("/info", headers={"origin": "https://elsewhere.example"})
        assert not [name for name in response.headers if name.startswith("access-control")]
        preflight = await http.options("/predict", headers={"origin": "https://elsewhere.example"})
        assert preflight.status_code == 405

    with_app(model, client)


def test_openapi_describes_every_route_with_examples_that_work(pair_model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        api = (await http.get("/openapi.json")).json()
        assert set(api["paths"]) == {"/predict", "/health", "/ready", "/info"}
        predict = api["paths"]["/predict"]["post"]
        assert set(predict["responses"]) == {"200", "400", "413", "415", "422", "429", "500", "503", "504"}
        examples = predict["requestBody"]["content"]["application/json"]["examples"]
        for example in examples.values():
            assert (await post(http, example["value"])).status_code == 200

    with_app(pair_model, client)


def test_logs_hold_the_request_and_never_its_texts(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        for body in ({"inputs": "secretword"}, {"inputs": ["secretword", 5]}, {"secretword": 1}):
            await post(http, body)
        await http.get("/line%0Abreak")

    with_app(model, client)
    lines = [record.getMessage() for record in caplog.records if record.name == "serve.errors"]
    assert [line.split()[:3] for line in lines] == [
        ["POST", "/predict", "200"],
        ["POST", "/predict", "422"],
        ["POST", "/predict", "422"],
        ["GET", r"/line\nbreak", "404"],
    ]
    assert "secretword" not in caplog.text


def test_regression_is_answered_with_a_number(model: Model) -> None:
    task = replace(model.task, kind="regression", labels=())
    number = replace(model, task=task, predictor=lambda batch: np.full((batch.shape[0], 1), 3.5, np.float32))

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert (await post(http, {"inputs": "a"})).json() == [{"label": "value", "score": 3.5}]

    with_app(number, client)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": 70000}, "--port 70000: expected 0"),
        ({"port": -1}, "--port -1"),
        ({"max_batch": 0}, "--max-batch 0: expected at least 1"),
        ({"max_queue": 0}, "--max-queue 0"),
        ({"max_texts": 0}, "--max-texts 0"),
        ({"max_body_bytes": 0}, "--max-body-bytes 0"),
        ({"max_texts": 9, "max_queue": 8}, "--max-texts 9: such a request never fits into --max-queue 8"),
        ({"timeout_seconds": 0.0}, "--timeout-seconds 0.0: expected more than 0"),
        ({"timeout_seconds": float("nan")}, "--timeout-seconds nan"),
        ({"drain_seconds": -1.0}, "--drain-seconds -1.0: expected 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        ServeConfig(**values)
