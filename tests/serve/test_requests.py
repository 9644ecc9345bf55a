"""Requests of every kind, and the one error body."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app_client import CONFIG, JSON, assert_error, expected, post, with_app
from replank.runtime.model import Model
from replank_serve.engine.engine import Engine

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
        (
            '{"inputs": "a", "prompt_name": "query"}',
            422,
            "validation",
            "prompt_name: the model has no prompt 'query'",
        ),
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


def test_texts_that_were_cut_are_counted(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        long = "good " * 80
        assert (await post(http, {"inputs": ["good", long, long]})).headers["x-truncated-texts"] == "2"
        assert "x-truncated-texts" not in (await post(http, {"inputs": "good"})).headers

    with_app(model, client)


def test_wrong_routes_and_methods_have_the_same_error_body(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert_error(await http.get("/nothing"), 404, "not_found", "no such route")
        assert_error(await http.get("/page/../app.py"), 404, "not_found", "no such route")
        assert_error(await http.get("/page/nothing.js"), 404, "not_found", "no such route")
        assert_error(await http.post("/predict/"), 404, "not_found", "no such route")
        response = await http.get("/predict")
        assert_error(response, 405, "method_not_allowed", "GET is not possible here; allowed: POST")
        assert response.headers["allow"] == "POST"
        # Of all routes on the path.
        assert (await http.delete("/")).headers["allow"] == "GET, POST"

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
