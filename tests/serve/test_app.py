"""The HTTP application: what it answers, tells and shows."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from app_client import assert_error, expected, post, with_app
from replank.models.source import open_source
from replank.runtime.model import Model
from replank.system.errors import UsageError
from replank.tasks.kinds import KINDS
from replank_serve.app import ServeConfig
from replank_serve.engine.engine import Engine
from waiting import HANG_SECONDS


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
        assert (info["task"]["route"], info["task"]["answers"]) == ("/predict", "2 labels (negative, positive)")
        assert info["limits"] == {
            "max_texts": 4, "max_passages": 1000, "max_body_bytes": 2000, "max_batch": 4, "max_batch_tokens": 2048,
            "max_queue_tokens": 256, "timeout_seconds": HANG_SECONDS
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
        assert set(api["paths"]) == {
            "/", "/predict", "/ner", "/embed", "/tokenize", "/health", "/ready", "/info", "/models", "/metrics", "/v2",
            "/v2/health/live", "/v2/health/ready", "/v2/models/{name}", "/v2/models/{name}/ready",
            "/v2/models/{name}/infer", "/v1/embeddings", "/rerank", "/v1/rerank", "/v2/rerank",
            "/zero-shot", "/fill-mask",
        }  # fmt: skip
        statuses = {"200", "400", "401", "404", "413", "415", "422", "429", "500", "503", "504"}
        for path in ("/predict", "/tokenize", "/v2/models/{name}/infer"):
            route = api["paths"][path]["post"]
            assert set(route["responses"]) == statuses
        assert [entry["name"] for entry in route["parameters"]] == ["name"]
        for path in ("/predict", "/tokenize"):
            content = api["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            for example in content["examples"].values():
                assert (await post(http, example["value"], path)).status_code == 200
        assert "$ref" not in json.dumps(api["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"])

    with_app(pair_model, client)


def test_logs_hold_the_request_and_never_its_texts(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        for body in ({"inputs": "secretword"}, {"inputs": ["secretword", 5]}, {"secretword": 1}):
            await post(http, body)
        await http.get("/line%0Abreak")

    with_app(model, client)
    lines = [record.getMessage() for record in caplog.records if record.name == "replank_serve.request"]
    assert [line.split()[:3] for line in lines] == [
        ["POST", "/predict", "200"],
        ["POST", "/predict", "422"],
        ["POST", "/predict", "422"],
        ["GET", r"/line\nbreak", "404"],
    ]
    assert "secretword" not in caplog.text


def test_regression_is_answered_with_a_number(model: Model) -> None:
    task = replace(model.task, kind=KINDS["regression"], labels=())
    number = replace(model, task=task, predictor=lambda batch: np.full((batch.shape[0], 1), 3.5, np.float32))

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert (await post(http, {"inputs": "a"})).json() == [{"label": "value", "score": 3.5}]

    with_app(number, client)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": 70000}, "`port` is 70000; expected 0 (any free port) to 65535"),
        ({"port": -1}, "`port` is -1"),
        ({"max_batch": 0}, "`max_batch` is 0; expected at least 1"),
        ({"max_batch_tokens": 0}, "`max_batch_tokens` is 0"),
        ({"max_queue_tokens": 0}, "`max_queue_tokens` is 0"),
        ({"max_texts": 0}, "`max_texts` is 0"),
        ({"max_body_bytes": 0}, "`max_body_bytes` is 0"),
        ({"timeout_seconds": 0.0}, "`timeout_seconds` is 0.0; expected more than 0"),
        ({"timeout_seconds": float("nan")}, "`timeout_seconds` is nan"),
        ({"drain_seconds": -1.0}, "`drain_seconds` is -1.0; expected 0 or more"),
        (
            {"cors_origins": ("example.org",)},
            "`cors_origins` is example.org; expected an origin such as https://example.org",
        ),
        ({"cors_origins": ("https://example.org/",)}, "`cors_origins` is https://example.org/; expected"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        ServeConfig(**values)
