"""Vectors in OpenAI's shape, and its own client against a running server."""

from __future__ import annotations

import base64
from pathlib import Path

import httpx
import numpy as np
import pytest

from app_client import assert_error, post, with_app
from embedding_folders import save_embedding_model
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank_export.convert import ExportConfig, export
from replank_serve.engine.engine import Engine
from served_process import served

TEXTS = ["a good film", "it is a very dull plot with music"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("openai") / "vectors"
    return save_embedding_model(made, {"pooling_mode": "cls"}, "Normalize", prompts={"query": "the plot "})


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Model:
    return load_model(open_source(folder), threads=1)


def test_vectors_and_tokens_in_either_encoding(embedder: Model) -> None:
    expected = embedder.embed(TEXTS)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        answer = (await post(http, {"input": TEXTS, "user": "x"}, "/v1/embeddings")).json()
        assert (answer["object"], answer["model"]) == ("list", "vectors")
        assert [(entry["object"], entry["index"]) for entry in answer["data"]] == [("embedding", 0), ("embedding", 1)]
        np.testing.assert_allclose([entry["embedding"] for entry in answer["data"]], expected, atol=1e-5)
        tokens = sum(map(len, embedder.text_encoder.tokenize(TEXTS)))
        assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
        coded = (await post(http, {"input": TEXTS[0], "encoding_format": "base64"}, "/v1/embeddings")).json()
        found = np.frombuffer(base64.b64decode(coded["data"][0]["embedding"]), dtype="<f4")
        np.testing.assert_allclose(found, expected[0], atol=1e-5)
        prompted = (await post(http, {"input": TEXTS[0], "prompt_name": "query"}, "/v1/embeddings")).json()
        expected_prompted = embedder.embed(TEXTS[:1], prompt_name="query")[0]
        np.testing.assert_allclose(prompted["data"][0]["embedding"], expected_prompted, atol=1e-5)

    with_app(embedder, client)


def test_fewer_dimensions_have_length_one_again(embedder: Model) -> None:
    cut = embedder.embed(TEXTS[:1])[0, :8]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        answer = (await post(http, {"input": TEXTS[0], "dimensions": 8}, "/v1/embeddings")).json()
        np.testing.assert_allclose(answer["data"][0]["embedding"], cut / np.linalg.norm(cut), atol=1e-5)
        too_many = await post(http, {"input": TEXTS[0], "dimensions": 33}, "/v1/embeddings")
        assert_error(too_many, 422, "validation", "dimensions: 33 is more than the model's 32")

    with_app(embedder, client)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "input: missing"),
        ({"input": []}, 422, "the list is empty"),
        ({"input": [[1, 2]]}, 422, "input: expected a text, or a list of texts"),
        ({"input": ["a"] * 5}, 413, "5 texts or pairs in one request; at most 4"),
        ({"input": "a", "encoding_format": "int8"}, 422, "encoding_format"),
        ({"input": "a", "prompt_name": "title"}, 422, "no prompt 'title'"),
        ({"input": "a", "model": "text-embedding-3-small"}, 404, "text-embedding-3-small"),
    ],
)
def test_requests_that_are_turned_away(embedder: Model, body: dict[str, object], status: int, message: str) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        kinds = {404: "not_found", 413: "too_large", 422: "validation"}
        assert_error(await post(http, body, "/v1/embeddings"), status, kinds[status], message)

    with_app(embedder, client)


def test_a_classifier_gives_none(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert_error(await post(http, {"input": "a"}, "/v1/embeddings"), 422, "validation", "POST /predict asks it")

    with_app(model, client)


def test_openais_own_client(folder: Path, embedder: Model) -> None:
    openai = pytest.importorskip("openai", reason="the package openai is not installed")
    onnx = export(open_source(folder), folder.with_name("onnx"), ExportConfig())
    with (
        served(onnx.path) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        for settings in ({}, {"encoding_format": "float"}):
            answer = client.embeddings.create(input=TEXTS, model="onnx", **settings)
            np.testing.assert_allclose([entry.embedding for entry in answer.data], embedder.embed(TEXTS), atol=1e-5)
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            client.embeddings.create(input=TEXTS, model="onnx", dimensions=99)
        assert "dimensions: 99 is more than the model's 32" in refused.value.response.json()["error"]
