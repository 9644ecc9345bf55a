"""Passages ranked for a query, in three shapes, and Cohere's own client against a running server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from app_client import CONFIG, assert_error, post, with_app
from plain_folders import with_head
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank_export.convert import ExportConfig, export
from replank_serve.engine.engine import Engine
from served_process import served
from tiny import sentences

QUERY = "is the film good"
PASSAGES = ["the plot is very dull", "a lovely film", "dull music and a poor actor", "the scene"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_head(tmp_path_factory.mktemp("rerank") / "ranker", "SequenceClassification", 1)


@pytest.fixture(scope="module")
def ranker(folder: Path) -> Model:
    return load_model(open_source(folder), threads=1)


def logits(ranker: Model, passages: list[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(ranker.logits([QUERY] * len(passages), passages)[:, 0])


def test_the_shape_of_text_embeddings_inference(ranker: Model) -> None:
    raw = logits(ranker, PASSAGES)
    order = np.argsort(-raw).tolist()

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        body = {"query": QUERY, "texts": PASSAGES}
        answer = (await post(http, body, "/rerank")).json()
        assert [set(entry) for entry in answer] == [{"index", "score"}] * 4
        assert [entry["index"] for entry in answer] == order
        np.testing.assert_allclose([entry["score"] for entry in answer], 1 / (1 + np.exp(-raw[order])), atol=1e-5)
        answer = (await post(http, body | {"raw_scores": True, "return_text": True}, "/rerank")).json()
        np.testing.assert_allclose([entry["score"] for entry in answer], raw[order], atol=1e-5)
        assert [entry["text"] for entry in answer] == [PASSAGES[index] for index in order]

    with_app(ranker, client)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_the_shape_of_cohere_and_jina(ranker: Model, path: str) -> None:
    order = np.argsort(-logits(ranker, PASSAGES)).tolist()
    documents = [PASSAGES[0], {"text": PASSAGES[1]}, *PASSAGES[2:]]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        body = {"model": "ranker", "query": QUERY, "documents": documents, "top_n": 2}
        answer = (await post(http, body, path)).json()
        assert [set(entry) for entry in answer["results"]] == [{"index", "relevance_score"}] * 2
        assert [entry["index"] for entry in answer["results"]] == order[:2]
        answer = (await post(http, body | {"return_documents": True}, path)).json()
        assert [entry["document"]["text"] for entry in answer["results"]] == [PASSAGES[index] for index in order[:2]]

    with_app(ranker, client)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"query": "q", "texts": []}, 422, "a query needs passages"),
        ({"query": "q", "documents": []}, 422, "a query needs passages"),
        ({"query": "q", "texts": ["a"] * 10_000}, 413, "10000 passages in one request; at most 1000"),
        ({"query": "q"}, 422, "texts: missing"),
        ({"texts": ["a"]}, 422, "query: missing"),
        ({"query": "q", "texts": [1]}, 422, "texts"),
        ({"query": "q", "documents": ["a"], "top_n": 0}, 422, "top_n"),
        ({"query": "q", "texts": ["film " * 100], "truncate": False}, 422, "longer than"),
    ],
)
def test_requests_that_are_turned_away(ranker: Model, body: dict[str, object], status: int, message: str) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        kind = "too_large" if status == 413 else "validation"
        assert_error(await post(http, body, "/rerank"), status, kind, message)

    with_app(ranker, client, replace(CONFIG, max_body_bytes=100_000))


def test_a_classifier_ranks_nothing(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        body = {"query": QUERY, "texts": PASSAGES}
        assert_error(await post(http, body, "/rerank"), 422, "validation", "ranks no passages; POST /predict asks it")

    with_app(model, client)


def test_a_hundred_passages_from_many_clients_keep_their_places(ranker: Model) -> None:
    many = [[text for text, _ in sentences(100, seed)] for seed in range(6)]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        bodies = [{"query": QUERY, "texts": texts, "raw_scores": True} for texts in many]
        answers = await asyncio.gather(*(post(http, body, "/rerank") for body in bodies))
        for texts, answer in zip(many, answers, strict=True):
            scores = {entry["index"]: entry["score"] for entry in answer.json()}
            np.testing.assert_allclose([scores[index] for index in range(100)], logits(ranker, texts), atol=1e-5)

    with_app(ranker, client, replace(CONFIG, max_body_bytes=100_000, max_queue_tokens=100_000))


def test_coheres_own_client(folder: Path, ranker: Model) -> None:
    cohere = pytest.importorskip("cohere", reason="the package cohere is not installed")
    order = np.argsort(-logits(ranker, PASSAGES)).tolist()
    onnx = export(open_source(folder), folder.with_name("onnx"), ExportConfig())
    with served(onnx.path) as server, httpx.Client() as http:
        for make in (cohere.Client, cohere.ClientV2):
            client = make(api_key="none", base_url=server.url, httpx_client=http)
            answer = client.rerank(model="onnx", query=QUERY, documents=PASSAGES, top_n=3)
            assert [entry.index for entry in answer.results] == order[:3]
