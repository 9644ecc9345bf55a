"""Labels of the request over HTTP, beside transformers' pipeline, and refused requests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from transformers import pipeline

from app_client import CONFIG, assert_error, post, with_app
from plain_folders import inference_folder
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank_serve.engine.engine import Engine

TEXTS = ["the film is lovely", "a dull plot with very bad music"]
LABELS = ["good", "very bad", "cold music"]
BODY: dict[str, Any] = {"inputs": TEXTS, "candidate_labels": LABELS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inference_folder(tmp_path_factory.mktemp("nli") / "model", ("contradiction", "neutral", "entailment"))


@pytest.fixture(scope="module")
def judge(folder: Path) -> Model:
    return load_model(open_source(folder), threads=1)


@pytest.mark.parametrize("more", [{}, {"multi_label": True, "hypothesis_template": "it is {}"}])
def test_scores_are_those_of_transformers(judge: Model, folder: Path, more: dict[str, Any]) -> None:
    ask: Any = pipeline("zero-shot-classification", model=str(folder))
    expected = ask(TEXTS, LABELS, **more)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        many = await post(http, BODY | more | {"colour": "red"}, "/zero-shot")
        one = await post(http, BODY | more | {"inputs": TEXTS[0]}, "/zero-shot")
        assert many.headers["x-ignored-fields"] == "colour"
        assert int(many.headers["x-compute-tokens"]) > 0
        hub = await post(http, {"inputs": TEXTS, "parameters": {"candidate_labels": LABELS} | more}, "/")
        for answer, in_hubs_shape, row in zip(many.json(), hub.json(), expected, strict=True):
            scores = pytest.approx(row["scores"], abs=1e-5)
            assert [entry["label"] for entry in answer] == row["labels"] == in_hubs_shape["labels"]
            assert [entry["score"] for entry in answer] == scores
            assert (in_hubs_shape["sequence"], in_hubs_shape["scores"]) == (row["sequence"], scores)
            holds = [entry.get("holds") for entry in answer]
            assert holds == [score >= 0.5 if more else None for score in row["scores"]]
        assert [entry["label"] for entry in one.json()] == expected[0]["labels"]

    with_app(judge, client, replace(CONFIG, max_queue_tokens=4096))


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"candidate_labels": []}, 422, "no candidate labels"),
        ({"candidate_labels": ["a", "a"]}, 422, "'a' occurs twice"),
        ({"candidate_labels": "good"}, 422, "candidate_labels: "),
        ({"candidate_labels": [7]}, 422, "candidate_labels: "),
        ({"candidate_labels": None}, 422, "candidate_labels: "),
        ({"hypothesis_template": "It is so."}, 422, "has 0 places for a label"),
        ({"inputs": []}, 422, "inputs: the list is empty"),
        ({"inputs": [["a", "b"]]}, 422, "inputs: expected a text, or a list of texts"),
        ({"inputs": ["a"] * 5}, 413, "5 texts or pairs in one request; at most 4"),
        ({"candidate_labels": ["a"] * 501}, 413, "2 texts with 501 labels each in one request; at most 1000 pairs"),
        ({"inputs": ["film " * 100], "truncate": False}, 422, "longer than 64 tokens"),
    ],
)
def test_requests_that_are_turned_away(judge: Model, change: dict[str, Any], status: int, message: str) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        kind = "too_large" if status == 413 else "validation"
        assert_error(await post(http, BODY | change, "/zero-shot"), status, kind, message)

    with_app(judge, client, replace(CONFIG, max_body_bytes=100_000))


def test_a_model_without_an_entailment_is_refused_by_name(model: Model, masked_lm: Path) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        message = r"the model onnx labels whole texts, and judges no candidate labels: it has 2 labels \(negative"
        for path in ("/zero-shot", "/"):
            assert_error(await post(http, BODY, path), 422, "validation", message)

    with_app(model, client)


def test_it_is_described(judge: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        paths = (await http.get("/openapi.json")).json()["paths"]
        content = paths["/zero-shot"]["post"]["requestBody"]["content"]["application/json"]
        assert {"inputs", "candidate_labels", "hypothesis_template", "multi_label"} <= set(
            content["schema"]["properties"]
        )
        for example in json.loads(json.dumps(content["examples"])).values():
            assert (await post(http, example["value"], "/zero-shot")).status_code == 200

    with_app(judge, client)
