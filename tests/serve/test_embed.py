"""Vectors of texts over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from transformers import AutoModel

from app_client import assert_error, post, with_app
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.pooling import pool
from replank.tasks.vectors import Vectors
from replank_export.convert import ExportConfig, export
from replank_serve.engine.engine import Engine

TEXTS = ["a good film", "it is a very dull plot with music"]


@pytest.fixture(scope="module")
def vectors(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The tiny encoder without a head."""
    out = tmp_path_factory.mktemp("vectors") / "onnx"
    return load_model(open_source(export(open_source(encoder), out, ExportConfig(features=True)).path), threads=1)


def torch_vectors(encoder: Path, model: Model, text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Every token's vector as transformers gives it."""
    batch = model.text_encoder.pad(model.text_encoder.tokenize([text]))
    inputs = {name: torch.from_numpy(values) for name, values in batch.inputs().items()}
    with torch.inference_mode():
        found: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = (
            AutoModel.from_pretrained(encoder)(**inputs).last_hidden_state[0].numpy()
        )
    return found


def test_vectors_are_the_means_of_transformers(vectors: Model, encoder: Path) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        answer = await post(http, {"inputs": TEXTS}, "/embed")
        plain = await post(http, {"inputs": TEXTS[0], "normalize": False}, "/embed")
        first = await post(http, {"inputs": TEXTS[0], "pooling": "cls", "normalize": False}, "/embed")
        highest = await post(http, {"inputs": TEXTS[0], "pooling": "max", "normalize": False}, "/embed")
        assert_error(await post(http, {"inputs": TEXTS[0]}), 422, "validation", "POST /embed asks it")
        unknown = await post(http, {"inputs": TEXTS[0], "pooling": "median"}, "/embed")
        assert_error(unknown, 422, "validation", "pooling")
        for row, text in zip(np.array(answer.json()), TEXTS, strict=True):
            mean = torch_vectors(encoder, vectors, text).mean(axis=0)
            np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-5)
        tokens = torch_vectors(encoder, vectors, TEXTS[0])
        np.testing.assert_allclose(plain.json()[0], tokens.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(first.json()[0], tokens[0], atol=1e-5)
        np.testing.assert_allclose(highest.json()[0], tokens.max(axis=0), atol=1e-5)

    with_app(vectors, client)


def test_vectors_are_made_as_the_models_folder_says(vectors: Model, encoder: Path) -> None:
    settings = Vectors("cls", normalize=False, prompts={"query": "the plot "}, default_prompt="query")
    model = replace(vectors, task=replace(vectors.task, vectors=settings))
    first = torch_vectors(encoder, vectors, f"the plot {TEXTS[0]}")[0]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        for body in ({}, {"prompt_name": "query"}, {"prompt_name": None, "pooling": None, "normalize": None}):
            answer = await post(http, {"inputs": TEXTS[0]} | body, "/embed")
            np.testing.assert_allclose(answer.json()[0], first, atol=1e-5)
        unit = await post(http, {"inputs": TEXTS[0], "normalize": True}, "/embed")
        np.testing.assert_allclose(unit.json()[0], first / np.linalg.norm(first), atol=1e-5)
        unknown = await post(http, {"inputs": TEXTS[0], "prompt_name": "title"}, "/embed")
        assert_error(unknown, 422, "validation", "the model has no prompt 'title'; its prompts: query")

    with_app(model, client)


def test_a_vector_without_a_length_stays_as_it_is() -> None:
    np.testing.assert_array_equal(pool(np.zeros((3, 4), dtype=np.float32), "mean", normalize=True), np.zeros(4))
