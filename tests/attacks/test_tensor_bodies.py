"""Bodies of the Open Inference Protocol whose lengths lie, or that hold more than they seem to."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app_client import CONFIG, assert_error, with_app
from replank.runtime.model import Model
from replank_serve.engine.engine import Engine

LENGTH = "inference-header-content-length"
GOOD = struct.pack("<I", 4) + b"good"


def binary(size: object = len(GOOD), **more: Any) -> dict[str, Any]:
    return {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": size}} | more


def posted(tensors: list[Any], data: bytes, length: str | None = None) -> dict[str, Any]:
    head = json.dumps({"inputs": tensors}).encode()
    headers = {LENGTH: str(len(head)) if length is None else length}
    return {"content": head + data, "headers": headers | {"content-type": "application/octet-stream"}}


@pytest.mark.parametrize(
    ("tensors", "behind", "length", "status", "message"),
    [
        ([binary()], GOOD, "-1", 422, "expected a number of bytes"),
        ([binary()], GOOD, "", 422, "expected a number of bytes"),
        ([binary()], GOOD, "1e2", 422, "expected a number of bytes"),
        ([binary()], GOOD, "9" * 30, 422, "expected a number of bytes"),
        ([binary()], GOOD, "999999", 422, "is more than the body's"),
        ([binary()], GOOD, "0", 400, "not JSON"),
        ([binary()], GOOD, "5", 400, "not JSON"),
        ([binary(7)], GOOD, None, 422, "longer than its tensor"),
        ([binary(9)], GOOD, None, 422, "does not fit the 8 bytes"),
        ([binary(-8)], GOOD, None, 422, "does not fit the 8 bytes"),
        ([binary(10**30)], GOOD, None, 422, "does not fit the 8 bytes"),
        ([binary("8")], GOOD, None, 422, "does not fit the 8 bytes"),
        ([binary(8.0)], GOOD, None, 422, "does not fit the 8 bytes"),
        ([binary(True)], GOOD, None, 422, "longer than its tensor"),
        ([binary()], GOOD + b"more", None, 422, "12 bytes follow the JSON, but the tensors have 8"),
        ([binary(data=["a"])], GOOD, None, 422, "has data and a binary_data_size"),
        ([binary()], b"\xff\xff\xff\xffgood", None, 422, "longer than its tensor"),
        ([binary(3)], b"\0\0\0", None, 422, "longer than its tensor"),
        ([binary()], struct.pack("<I", 4) + b"\xed\xa0\x80a", None, 422, "not UTF-8"),
        ([binary(shape=[2])], GOOD, None, 422, "which is not its shape"),
        ([binary(0, shape=[0])], b"", None, 422, "the list is empty"),
        ([binary(20)], b"\0" * 20, None, 413, "5 texts or pairs"),
        ([binary(), 5], GOOD, None, 422, "expected one tensor"),
        (5, GOOD, None, 422, "8 bytes follow the JSON"),
    ],
)  # fmt: skip
def test_lengths_that_lie_are_refused(
    model: Model, tensors: Any, behind: bytes, length: str | None, status: int, message: str
) -> None:
    kind = {400: "malformed", 413: "too_large", 422: "validation"}[status]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        url = "/v2/models/onnx/infer"
        assert_error(await http.post(url, **posted(tensors, behind, length)), status, kind, message)
        assert (await http.post(url, **posted([binary()], GOOD))).status_code == 200

    with_app(model, client)


@pytest.mark.parametrize(
    "texts", ["[" + '"",' * 660_000 + '""]', "[[" + '"",' * 660_000 + '""]]', "[" + '[""],' * 330_000 + '[""]]']
)
@pytest.mark.parametrize("more", ["", ', "outputs": [' + '{"name": ""},' * 10 + '{"name": "label"}]'])
def test_texts_are_counted_before_they_are_looked_at(
    model: Model, texts: str, more: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """660,000 empty texts were validated one by one before they were counted: verdict 413, and none was looked at."""
    looked_at = 0

    def count(value: object) -> object:
        nonlocal looked_at
        looked_at += 1
        return value

    monkeypatch.setattr("replank_serve.routes.openinference.read_body_as", count)
    body = '{"inputs": [{"name": "text", "shape": [660001], "datatype": "BYTES", "data": ' + texts + "}]" + more + "}"

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await http.post("/v2/models/onnx/infer", content=body, headers={"content-type": "application/json"})
        assert_error(response, 413, "too_large", r"\d{6} texts or pairs in one request; at most 4")

    with_app(model, client, replace(CONFIG, max_body_bytes=3_000_000))
    assert looked_at == 0
