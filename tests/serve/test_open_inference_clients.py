"""Triton's client and KServe's requests against a running server: the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from curl import curl
from served_process import Server

TEXTS = ["a good film", "it is a very dull plot with music"]


@pytest.fixture
def triton_client(classifier: Server) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(classifier.url.removeprefix("http://"))
    yield client
    client.close()


def text_tensor(texts: list[str], *, binary: bool, nested: bool = False) -> triton.InferInput:
    data = np.array([text.encode() for text in texts], dtype=np.object_)
    data = data.reshape(-1, 1) if nested else data
    tensor = triton.InferInput("text", list(data.shape), "BYTES")
    tensor.set_data_from_numpy(data, binary_data=binary)
    return tensor


@pytest.mark.parametrize("binary", [True, False], ids=["binary input", "JSON input"])
@pytest.mark.parametrize("outputs", [None, True, False], ids=["no outputs named", "binary output", "JSON output"])
def test_the_triton_client_infers(
    triton_client: triton.InferenceServerClient, classifier: Server, binary: bool, outputs: bool | None
) -> None:
    texts = [TEXTS[0], "the cafe\u0301 \U0001f600 is good"]
    expected = httpx.post(f"{classifier.url}/predict", json={"inputs": texts}).json()
    wanted = None
    if outputs is not None:
        wanted = [triton.InferRequestedOutput(name, binary_data=outputs) for name in ("scores", "label")]
    for nested in (False, True):
        tensor = text_tensor(texts, binary=binary, nested=nested)
        result = triton_client.infer("onnx", [tensor], request_id="7", outputs=wanted)
        assert result.get_response()["id"] == "7"
        labels: Any = result.as_numpy("label")
        named = [label.decode() if isinstance(label, bytes) else label for label in labels]
        assert named == [row[0]["label"] for row in expected]
        scores: Any = result.as_numpy("scores")
        assert (scores.shape, scores.dtype) == ((2, 2), np.float32)
        np.testing.assert_allclose(scores.max(axis=1), [row[0]["score"] for row in expected], atol=1e-6)
        assert ("binary_data_size" in str(result.get_response())) is (outputs is not False)


def test_the_triton_client_asks_about_the_server(triton_client: triton.InferenceServerClient) -> None:
    assert triton_client.is_server_live()
    assert triton_client.is_server_ready()
    assert triton_client.is_model_ready("onnx")
    assert not triton_client.is_model_ready("other")
    server = triton_client.get_server_metadata()
    assert (server["name"], server["extensions"]) == ("replank", ["binary_tensor_data"])
    model = triton_client.get_model_metadata("onnx")
    assert [tensor["name"] for tensor in model["inputs"]] == ["text"]
    (version,) = model["versions"]
    assert triton_client.is_model_ready("onnx", version)
    assert triton_client.get_model_metadata("onnx", version) == model
    tensor = text_tensor(TEXTS, binary=True)
    assert triton_client.infer("onnx", [tensor], model_version=version).get_response()["model_version"] == version
    with pytest.raises(triton.InferenceServerException, match=r"has the version .*, not '1'"):
        triton_client.infer("onnx", [tensor], model_version="1")


def test_the_triton_client_is_told_what_is_not_possible(triton_client: triton.InferenceServerClient) -> None:
    tensor = text_tensor(TEXTS, binary=True)
    with pytest.raises(triton.InferenceServerException, match="parameter classification is not possible"):
        triton_client.infer("onnx", [tensor], outputs=[triton.InferRequestedOutput("scores", class_count=1)])
    with pytest.raises(triton.InferenceServerException, match="without content-encoding, got gzip"):
        triton_client.infer("onnx", [tensor], request_compression_algorithm="gzip")
    with pytest.raises(triton.InferenceServerException, match="at most 4 are allowed"):
        triton_client.infer("onnx", [text_tensor(["a"] * 5, binary=True)])
    wrong = text_tensor(TEXTS, binary=True).set_data_from_numpy(np.array([b"\xff\xfe", b"a"], dtype=np.object_))
    with pytest.raises(triton.InferenceServerException, match="the binary text 0 is not UTF-8"):
        triton_client.infer("onnx", [wrong])


def test_kserves_requests_are_answered(classifier: Server) -> None:
    """As its documentation spells them for curl, and its Python client sends them."""
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": TEXTS}
    status, answer = curl(f"{classifier.url}/v2/models/onnx/infer", {"id": "a", "inputs": [tensor]})
    expected = httpx.post(f"{classifier.url}/predict", json={"inputs": TEXTS}).json()
    assert (status, answer["model_name"], answer["id"]) == (200, "onnx", "a")
    assert answer["outputs"][0]["data"] == [row[0]["label"] for row in expected]
    with httpx.Client(base_url=classifier.url) as http:
        assert http.get("/v2/health/live").json() == {"live": True}
        assert http.get("/v2/health/ready").json() == {"ready": True}
        assert http.get("/v2/models/onnx/ready").json() == {"ready": True}
