"""The Open Inference Protocol: the same answers in tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from app_client import assert_error, expected, post, with_app
from replank.runtime.model import Model
from replank.tasks.kinds import KINDS
from replank_serve.engine.engine import Engine

TEXTS = ["the film is superb", "a very dull plot"]


def tensor(name: str, data: Any, shape: list[int] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape or [len(data)], "datatype": "BYTES", "data": data} | more


def test_infer_gives_labels_and_scores_in_the_models_order(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        asked = {
            "id": "order \ud83d 66",
            "inputs": [tensor("text", TEXTS, parameters={"content_type": "str"})],
            "parameters": {},
        }
        response = await post(http, asked, "/v2/models/onnx/infer")
        answer = response.json()
        assert answer["id"] == "order \ufffd 66"
        assert answer["model_name"] == "onnx"
        assert model.source.artifact is not None
        assert answer["model_version"] == model.source.artifact.manifest.digest
        label, scores = answer["outputs"]
        rows = expected(model, TEXTS)
        assert label == {"name": "label", "datatype": "BYTES", "shape": [2], "data": [row[0]["label"] for row in rows]}
        assert (scores["name"], scores["datatype"], scores["shape"]) == ("scores", "FP32", [2, 2])
        by_label = [{score["label"]: score["score"] for score in row} for row in rows]
        assert scores["data"] == [row[name] for row in by_label for name in model.task.labels]
        assert float(response.headers["x-inference-time"]) > 0

        for nested in (tensor("text", [[text] for text in TEXTS], [2, 1]), tensor("text", TEXTS, [2, 1])):
            asked = {"inputs": [nested], "outputs": [{"name": "label"}]}
            answer = (await post(http, asked, "/v2/models/onnx/infer")).json()
            assert [output["name"] for output in answer["outputs"]] == ["label"]
            assert "id" not in answer

    with_app(model, client)


def test_pairs_are_two_tensors_and_a_number_is_a_value(pair_model: Model, model: Model) -> None:
    task = replace(model.task, kind=KINDS["regression"], labels=())
    number = replace(model, task=task, predictor=lambda batch: np.full((batch.shape[0], 1), 3.5, np.float32))
    other = ["a warm scene", "the music is fine"]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        asked = {"inputs": [tensor("text_pair", other), tensor("text", TEXTS)]}
        answer = (await post(http, asked, "/v2/models/pair/infer")).json()
        assert answer["outputs"][0]["data"] == [row[0]["label"] for row in expected(pair_model, TEXTS, other)]
        asked = {"inputs": [tensor("text", TEXTS)]}
        answer = (await post(http, asked, "/v2/models/number/infer")).json()
        assert answer["outputs"] == [{"name": "value", "datatype": "FP32", "shape": [2], "data": [3.5, 3.5]}]
        metadata = (await http.get("/v2/models/pair")).json()
        assert [put["name"] for put in metadata["inputs"]] == ["text", "text_pair"]
        assert metadata["outputs"][1] == {"name": "scores", "datatype": "FP32", "shape": [-1, 2]}
        wrong = {"inputs": [tensor("text", TEXTS), tensor("text_pair", other[:1])]}
        refused = await post(http, wrong, "/v2/models/pair/infer")
        assert_error(refused, 422, "validation", "text and text_pair differ in length")

    with_app({"pair": pair_model, "number": number}, client)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "inputs: missing"),
        ({"inputs": []}, 422, "inputs: expected one tensor, or two of pairs"),
        ({"inputs": [tensor("words", TEXTS)]}, 422, "inputs: expected the tensor text"),
        ({"inputs": [tensor("text", TEXTS), tensor("text", TEXTS)]}, 422, "inputs: expected the tensor text"),
        ({"inputs": [tensor("text", TEXTS, [3])]}, 422, "are 2 texts, which is not its shape"),
        ({"inputs": [tensor("text", TEXTS, [-1])]}, 422, "which is not its shape"),
        ({"inputs": [tensor("text", [])]}, 422, "inputs: the list is empty"),
        ({"inputs": [tensor("text", [1, 2])]}, 422, "inputs: expected one tensor"),
        ({"inputs": [tensor("text", TEXTS) | {"datatype": "FP32"}]}, 422, "inputs: expected one tensor"),
        (
            {"inputs": [tensor("text", TEXTS)], "outputs": [{"name": "logits"}]},
            422,
            "'logits' is none of label, scores",
        ),
        ({"inputs": [tensor("text", TEXTS)], "id": 5}, 422, "id: "),
        ({"inputs": [tensor("text", ["a"] * 5)]}, 413, "5 texts or pairs"),
    ],
)
def test_wrong_tensors_are_told_what_is_wrong(model: Model, body: dict[str, Any], status: int, message: str) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        kind = "validation" if status == 422 else "too_large"
        assert_error(await post(http, body, "/v2/models/onnx/infer"), status, kind, message)

    with_app(model, client)


def test_health_and_metadata(model: Model) -> None:
    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        assert (await http.get("/v2")).json()["name"] == "replank"
        assert (await http.get("/v2/health/live")).json() == {"live": True}
        assert_error(await http.get("/v2/health/ready"), 503, "unhealthy", "not ready: starting")
        assert_error(await http.get("/v2/models/onnx/ready"), 503, "unhealthy", "not ready: starting")
        await engine.started()
        assert (await http.get("/v2/health/ready")).json() == {"ready": True}
        assert (await http.get("/v2/models/onnx/ready")).json() == {"ready": True}
        assert (await http.get("/v2/models/onnx")).json()["platform"] == "onnx_fp32"
        for path in ("/v2/models/none", "/v2/models/none/ready"):
            assert_error(await http.get(path), 404, "not_found", "there is no model 'none'; loaded: onnx")
        assert_error(
            await post(http, {"inputs": [tensor("text", TEXTS)]}, "/v2/models/none/infer"), 404, "not_found", "none"
        )

    with_app(model, client, warm=False)
