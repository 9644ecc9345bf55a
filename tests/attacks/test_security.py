"""Keys, other origins, and what headers carry through."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app_client import CONFIG, assert_error, post, with_app
from replank.runtime.model import Model
from replank.system.errors import UsageError
from replank_serve.engine.engine import Engine
from replank_serve.http.security import read_keys

KEY, OTHER = "correct-horse-battery", "staple-0123456789abcdef"
KEYED = replace(CONFIG, api_keys=(KEY, OTHER))
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        KEY,
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {KEY}",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        "Bearer é",
    ],
)
def test_nothing_is_answered_without_a_key(model: Model, header: str | None) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        http.headers.update({} if header is None else httpx.Headers({"authorization": header}, encoding="latin-1"))
        responses = [
            await post(http, {"inputs": "a"}),
            await post(http, {"inputs": "a"}, "/v2/models/onnx/infer"),
            await http.get("/info"),
            await http.get("/models"),
            await http.get("/metrics"),
            await http.get("/nothing"),
            await http.get("/page"),
        ]
        for response in responses:
            assert_error(response, 401, "unauthorized", "expected one of the server's keys")
            assert response.headers["www-authenticate"] == "Bearer"
            assert KEY not in response.text
        # Probes, and pages that hold nothing and ask for the key themselves.
        for path in (
            "/health",
            "/ready",
            "/v2/health/live",
            "/v2/health/ready",
            "/",
            "/docs",
            "/openapi.json",
            "/page/app.js",
        ):
            assert (await http.get(path)).status_code == 200, path

    with_app(model, client, KEYED)


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {OTHER}", f"Bearer  {KEY} "])
def test_each_key_opens(model: Model, header: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        http.headers["authorization"] = header
        assert (await post(http, {"inputs": "a"})).status_code == 200
        assert (await http.get("/metrics")).status_code == 200
        assert_error(await http.get("/nothing"), 404, "not_found", "no such route")

    with_app(model, client, KEYED)
    assert KEY not in caplog.text
    assert KEY not in repr(KEYED)


def test_a_key_loads_models_from_anywhere(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        headers = {"authorization": f"Bearer {KEY}", "x-forwarded-for": "10.0.0.1"}
        loaded = await http.post("http://far.example/models/new", json={"folder": "/"}, headers=headers)
        assert loaded.status_code == 200
        without = await http.post("http://localhost/models/new", json={"folder": "/"})
        assert_error(without, 401, "unauthorized", "keys")

    with_app(model, client, replace(KEYED, loader=lambda _: model, model_root=Path("/")))


def test_keys_come_from_a_file_and_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n{KEY}\n\n  {OTHER}\n", encoding="utf-8")
    assert read_keys(file, None) == (KEY, OTHER)
    assert read_keys(None, KEY) == (KEY,)
    assert read_keys(file, "0123456789abcdef") == (KEY, OTHER, "0123456789abcdef")
    assert read_keys(None, None) == ()


@pytest.mark.parametrize(
    ("content", "variable", "message"),
    [
        ("", None, "holds no key"),
        ("# nothing\n", KEY, "holds no key"),
        ("short", None, "shorter than 16 characters"),
        (f"{KEY} {OTHER}", None, "holds spaces"),
        (KEY, "", "shorter than 16 characters"),
        (None, None, "cannot be read"),
    ],
)
def test_a_server_that_was_to_be_closed_is_not_open(
    tmp_path: Path, content: str | None, variable: str | None, message: str
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=message) as error:
        read_keys(file, variable)
    assert KEY not in str(error.value)


def test_other_origins_may_ask_only_where_they_are_named(model: Model) -> None:
    origin = {"origin": "https://ours.example"}
    asked = origin | {
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,authorization",
    }

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        preflight = await http.options("/predict", headers=asked)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, origin["origin"])
        response = await http.get("/ready", headers=origin)
        assert response.headers["access-control-allow-origin"] == origin["origin"]
        assert "x-inference-time" in response.headers["access-control-expose-headers"]
        elsewhere = await http.get("/ready", headers={"origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in elsewhere.headers
        refused = await http.get("/info", headers=origin)
        assert_error(refused, 401, "unauthorized", "keys")
        assert refused.headers["access-control-allow-origin"] == origin["origin"]

    with_app(model, client, replace(KEYED, cors_origins=(origin["origin"],)))


@pytest.mark.parametrize("given", [TRACE, "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-09-more"])
def test_a_trace_goes_through(model: Model, given: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "replank_serve.request")

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await http.get("/info", headers={"traceparent": given, "x-request-id": "order-66"})
        assert response.headers["traceparent"] == given

    with_app(model, client)
    (record,) = (record for record in caplog.records if record.name == "replank_serve.request")
    facts = record.__dict__
    assert facts["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert (facts["request_id"], facts["method"], facts["path"], facts["status"]) == ("order-66", "GET", "/info", 200)
    assert facts["milliseconds"] > 0


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00",
        TRACE.upper(),
        TRACE.replace("00-", "ff-", 1),
        re.sub("-b7[^-]*", "-" + "0" * 16, TRACE),
        TRACE + "\u00e9"[:0] + " x",
    ],
)
def test_what_is_no_trace_is_left_out(model: Model, given: str) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert "traceparent" not in (await http.get("/health", headers={"traceparent": given})).headers

    with_app(model, client)


def test_the_openapi_description_needs_no_key_and_tells_none(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert KEY not in json.dumps((await http.get("/openapi.json")).json())

    with_app(model, client, KEYED)


@pytest.mark.parametrize(
    "header",
    [
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-mode": "no-cors"},
        {"referer": "https://elsewhere.example/page"},
        {"origin": "https://elsewhere.example", "inference-header-content-length": "2"},
    ],
)
def test_a_page_that_hides_the_type_of_its_body_is_refused(model: Model, header: dict[str, str]) -> None:
    """A page may post a blob without a type to any origin, without a preflight."""
    body = json.dumps({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}]})

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        url = "/v2/models/onnx/infer"
        assert (await http.post(url, content=body)).status_code == 200
        assert_error(await http.post(url, content=body, headers=header), 415, "unsupported_media_type", "got none")
        # Nor does a type of forms get in, or one that is more than it says.
        for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", ";"):
            typed = header | {"content-type": media_type}
            assert_error(await http.post(url, content=body, headers=typed), 415, "unsupported_media_type", "got")

    with_app(model, client)


def test_only_tensors_come_without_a_type(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        for path in ("/", "/predict", "/ner", "/embed", "/tokenize", "/models/new"):
            for headers in ({}, {"content-type": "application/octet-stream"}):
                response = await http.post(f"http://localhost{path}", content='{"inputs": "a"}', headers=headers)
                assert_error(response, 415, "unsupported_media_type", "expected a body of type application/json")

    with_app(model, client, replace(CONFIG, loader=lambda _: model))


def test_a_public_page_is_public_to_read_only(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert (await http.get("/")).status_code == 200
        for path in ("/", "/docs", "/health", "/page/app.js"):
            assert_error(await post(http, {"inputs": "a"}, path), 401, "unauthorized", "keys")
        http.headers["authorization"] = f"Bearer {KEY}"
        assert (await post(http, {"inputs": "a"}, "/")).status_code == 200

    with_app(model, client, KEYED)
