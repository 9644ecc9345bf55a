"""Masks over HTTP, beside transformers' pipeline and through huggingface_hub's client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from transformers import pipeline

from app_client import CONFIG, assert_error, post, with_app
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank_serve.engine.engine import Engine

ONE, SEVERAL = "the film is [MASK].", "the [MASK] is [MASK]"


@pytest.fixture(scope="module")
def filler(masked_lm: Path) -> Model:
    return load_model(open_source(masked_lm), threads=1)


def close(row: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry | {"score": pytest.approx(entry["score"], abs=1e-5)} for entry in row]


def test_fillings_are_those_of_transformers(filler: Model, masked_lm: Path) -> None:
    ask: Any = pipeline("fill-mask", model=str(masked_lm))
    one, several = close(ask(ONE)), [close(row) for row in ask(SEVERAL)]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert (await post(http, {"inputs": ONE}, "/fill-mask")).json() == [one]
        assert (await post(http, {"inputs": [ONE, SEVERAL], "top": 2}, "/fill-mask")).json() == [
            [one[:2]],
            [row[:2] for row in several],
        ]
        # The hub's shape has no list around the tokens of a single mask.
        assert (await post(http, {"inputs": ONE}, "/")).json() == one
        assert (await post(http, {"inputs": SEVERAL, "parameters": {"top_k": 3}}, "/")).json() == [
            row[:3] for row in several
        ]

    with_app(filler, client)


def test_a_full_batch_of_masks_keeps_its_places(filler: Model) -> None:
    texts = [f"the film is {word} and [MASK]" for word in ("good", "bad", "very dull", "a scene with music")]
    expected = filler.fill(texts, top=1)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        answers = (await post(http, {"inputs": texts, "top": 1}, "/fill-mask")).json()
        assert [[mask[0]["token"] for mask in masks] for masks in answers] == [
            [mask[0].token for mask in masks] for masks in expected
        ]

    with_app(filler, client, CONFIG)


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/fill-mask", {"inputs": "a film"}, r"the text has no mask \(\[MASK\] stands where"),
        ("/fill-mask", {"inputs": [ONE, "a film"]}, "text 2 has no mask"),
        ("/fill-mask", {"inputs": ONE, "top": 0}, "top: "),
        ("/fill-mask", {"inputs": [["a", "b"]]}, "inputs"),
        ("/predict", {"inputs": ONE}, "fills masks; POST /fill-mask asks it"),
        ("/", {"inputs": ONE, "parameters": {"targets": ["good"]}}, "targets: tokens are those of the whole"),
        ("/zero-shot", {"inputs": ONE, "candidate_labels": ["a"]}, "fills masks, and judges no candidate labels"),
        ("/v2/models/model/infer", {"inputs": []}, "."),
    ],
)
def test_requests_that_are_turned_away(filler: Model, path: str, body: dict[str, Any], message: str) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await post(http, body, path)
        assert 400 <= response.status_code < 500
        if path != "/v2/models/model/infer":
            assert_error(response, 422, "validation", message)

    with_app(filler, client)


def test_a_classifier_fills_no_masks(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await post(http, {"inputs": ONE}, "/fill-mask")
        assert_error(response, 422, "validation", "labels whole texts; POST /predict asks it")
        properties = (await http.get("/openapi.json")).json()["paths"]["/fill-mask"]["post"]["requestBody"]
        assert "top" in properties["content"]["application/json"]["schema"]["properties"]

    with_app(model, client)


def test_info_names_its_route(filler: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert (await http.get("/info")).json()["task"]["route"] == "/fill-mask"

    with_app(filler, client)
