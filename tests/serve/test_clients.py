"""The protocols' own clients against running servers, one for each kind of model.

What they ought to be told, transformers' pipelines say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from transformers import AutoModel, AutoModelForTokenClassification, AutoTokenizer, BertConfig, pipeline

from curl import curl
from replank.models.source import open_source
from replank_export.convert import ExportConfig, export
from served_process import Server, served
from tiny import tiny_settings, write_tokenizer

TEXT = "the film is good and the plot is very dull"
TEXTS = ["a good film", "it is a very dull plot with music"]
TOO_LONG = "film " * 100
KEY = "correct-horse-battery"


@pytest.fixture(scope="module")
def tagger_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random token classifier whose labels are spread over the words."""
    folder = tmp_path_factory.mktemp("tagger") / "torch"
    torch.manual_seed(3)
    labels = dict(enumerate(("O", "B-PRAISE", "I-PRAISE", "B-BLAME", "I-BLAME")))
    model = AutoModelForTokenClassification.from_config(BertConfig(**tiny_settings(), id2label=labels))  # type: ignore[no-untyped-call]
    model.classifier.weight.data *= 20
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def tagger(tagger_folder: Path) -> Iterator[Server]:
    onnx = export(open_source(tagger_folder), tagger_folder.with_name("onnx"), ExportConfig())
    with served(onnx.path) as server:
        yield server


@pytest.fixture(scope="module")
def embedder(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    out = tmp_path_factory.mktemp("vectors") / "onnx"
    with served(export(open_source(encoder), out, ExportConfig(features=True)).path) as server:
        yield server


def mean_vectors(encoder: Path, texts: list[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The means of the tokens' vectors, as transformers gives them."""
    tokenizer: Any = AutoTokenizer.from_pretrained(encoder)
    model = AutoModel.from_pretrained(encoder)
    with torch.inference_mode():
        rows = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0) for text in texts]
    vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = torch.stack(rows).numpy()
    return vectors


def unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


# huggingface_hub


@pytest.mark.parametrize(
    "parameters", [{}, {"top_k": 1}, {"function_to_apply": "none"}, {"function_to_apply": "sigmoid", "top_k": 2}]
)
def test_the_inference_client_classifies(classifier: Server, successor: Path, parameters: dict[str, Any]) -> None:
    found = InferenceClient(model=classifier.url).text_classification(TEXT, **parameters)
    ask: Any = pipeline("text-classification", model=str(successor))
    expected = ask(TEXT, **{"top_k": None} | parameters)
    assert [(row.label, pytest.approx(row.score, abs=1e-4)) for row in found] == [
        (row["label"], row["score"]) for row in expected
    ]


def test_the_inference_client_is_told_what_is_not_possible(classifier: Server, embedder: Server) -> None:
    with pytest.raises(HfHubHTTPError, match="function_to_apply: Input should be"):
        InferenceClient(model=classifier.url).text_classification(TEXT, function_to_apply="relu")  # type: ignore[arg-type]
    refused = httpx.post(classifier.url, json={"inputs": TEXT, "parameters": {"max_length": 8}})
    assert (refused.status_code, refused.json()["error"][:43]) == (422, "parameters: 'max_length' is not possible he")
    client = InferenceClient(model=embedder.url)
    with pytest.raises(HfHubHTTPError, match="prompt_name: the model has no prompt 'query'; its prompts: none"):
        client.feature_extraction(TEXT, prompt_name="query")
    with pytest.raises(HfHubHTTPError, match="dimensions: 33 is more than the model's 32"):
        client.feature_extraction(TEXT, dimensions=33)
    with pytest.raises(HfHubHTTPError, match="encoding_format: Input should be 'float'"):
        client.feature_extraction(TEXT, encoding_format="base64")


def test_the_inference_client_finds_entities(tagger: Server, tagger_folder: Path) -> None:
    client = InferenceClient(model=tagger.url)
    ask: Any = pipeline("token-classification", model=str(tagger_folder), aggregation_strategy="first")
    fields = ("entity_group", "word", "start", "end")
    for ignored in (None, ["PRAISE"], []):
        found = client.token_classification(TEXT, aggregation_strategy="first", ignore_labels=ignored)
        expected = ask(TEXT, **({} if ignored is None else {"ignore_labels": ignored}))
        assert expected
        assert [[row[name] for name in fields] for row in found] == [[row[name] for name in fields] for row in expected]
        np.testing.assert_allclose([row.score for row in found], [row["score"] for row in expected], atol=1e-4)
    assert len(client.token_classification(TEXT)) > 1
    assert client.token_classification(TEXT) == client.token_classification(TEXT, aggregation_strategy="first")
    with pytest.raises(HfHubHTTPError, match="aggregation_strategy: Input should be 'first'"):
        client.token_classification(TEXT, aggregation_strategy="max")
    with pytest.raises(HfHubHTTPError, match="stride: long texts are cut"):
        client.token_classification(TEXT, stride=4)


def test_the_inference_client_embeds_and_compares(embedder: Server, encoder: Path) -> None:
    client = InferenceClient(model=embedder.url)
    means = mean_vectors(encoder, TEXTS)
    np.testing.assert_allclose(client.feature_extraction(TEXTS[0]), unit(means[:1]), atol=1e-5)
    batch: Any = TEXTS
    np.testing.assert_allclose(client.feature_extraction(batch, normalize=False), means, atol=1e-5)
    short = client.feature_extraction(batch, dimensions=8)
    np.testing.assert_allclose(short, unit(means[:, :8]), atol=1e-5)
    similar = client.sentence_similarity(TEXTS[0], other_sentences=TEXTS)
    np.testing.assert_allclose(similar, unit(means) @ unit(means)[0], atol=1e-5)
    assert similar[0] == pytest.approx(1, abs=1e-6)
    with pytest.raises(HfHubHTTPError, match="5 texts or pairs in one request; at most 4"):
        client.sentence_similarity(TEXTS[0], other_sentences=TEXTS * 2)


def test_the_inference_client_sends_its_token_as_the_key(onnx_artifact: Path) -> None:
    with served(onnx_artifact, api_keys=[KEY]) as server:
        client = InferenceClient(model=server.url, provider="hf-inference", token=KEY)
        assert client.text_classification(TEXT)
        assert client.health_check()
        assert client.get_endpoint_info()["max_length"] == 32
        with pytest.raises(HfHubHTTPError, match="401"):
            InferenceClient(model=server.url).text_classification(TEXT)


# text-embeddings-inference


def test_its_curl_commands_embed(embedder: Server, encoder: Path) -> None:
    url = f"{embedder.url}/embed"
    means = mean_vectors(encoder, TEXTS)
    status, vectors = curl(url, {"inputs": TEXTS[0]})
    assert status == 200
    np.testing.assert_allclose(vectors, unit(means[:1]), atol=1e-5)
    fields = {"truncate": True, "truncation_direction": "Right", "prompt_name": None, "normalize": False}
    np.testing.assert_allclose(curl(url, {"inputs": TEXTS} | fields)[1], means, atol=1e-5)
    np.testing.assert_allclose(curl(url, {"inputs": TEXTS, "dimensions": 4})[1], unit(means[:, :4]), atol=1e-5)
    plain = curl(url, {"inputs": TEXTS, "dimensions": 4, "normalize": False})[1]
    np.testing.assert_allclose(plain, means[:, :4], atol=1e-5)
    for field, value in (("prompt_name", "query"), ("truncation_direction", "Left"), ("dimensions", 0)):
        status, answer = curl(url, {"inputs": TEXTS, field: value})
        assert (status, answer["error_type"]) == (422, "validation")
        assert answer["error"].startswith(f"{field}: ")


def test_its_curl_commands_predict(classifier: Server, successor: Path) -> None:
    url = f"{classifier.url}/predict"
    ask: Any = pipeline("text-classification", model=str(successor))

    def scores(rows: Any) -> Any:
        return [[(row["label"], pytest.approx(row["score"], abs=1e-4)) for row in found] for found in rows]

    def rows(answer: Any) -> Any:
        return [[(row["label"], row["score"]) for row in found] for found in answer]

    expected = scores(ask(TEXTS, top_k=None))
    assert rows([curl(url, {"inputs": TEXTS[0], "truncate": True})[1]]) == expected[:1]
    batch = {"inputs": [[text] for text in TEXTS], "raw_scores": False, "truncation_direction": "right"}
    assert rows(curl(url, batch)[1]) == expected
    raw = curl(url, {"inputs": TEXTS, "raw_scores": True})[1]
    assert rows(raw) == scores(ask(TEXTS, top_k=None, function_to_apply="none"))
    assert sum(row["score"] for row in raw[0]) != pytest.approx(1, abs=1e-3)


def test_a_text_that_is_too_long_is_refused_where_it_must_not_be_cut(classifier: Server, embedder: Server) -> None:
    for server, route in ((classifier, "predict"), (embedder, "embed"), (classifier, "")):
        url = f"{server.url}/{route}"
        assert curl(url, {"inputs": TOO_LONG, "truncate": True})[0] == 200
        assert curl(url, {"inputs": TOO_LONG})[0] == 200
        assert curl(url, {"inputs": "film " * 20, "truncate": False})[0] == 200
        status, answer = curl(url, {"inputs": ["film", TOO_LONG], "truncate": False})
        assert (status, answer["error_type"]) == (422, "validation")
        assert answer["error"].startswith("inputs[1]: longer than")


def test_its_curl_command_tokenizes(classifier: Server) -> None:
    url = f"{classifier.url}/tokenize"
    for inputs in ("good film", ["good film"]):
        status, (tokens,) = curl(url, {"inputs": inputs, "add_special_tokens": True, "prompt_name": None})
        assert status == 200
        assert [(token["text"], token["special"]) for token in tokens] == [
            ("[CLS]", True),
            ("good", False),
            ("film", False),
            ("[SEP]", True),
        ]
    status, answer = curl(url, {"inputs": "good film", "add_special_tokens": False})
    assert (status, answer["error"]) == (422, "add_special_tokens: Input should be True")


def test_unknown_fields_are_ignored_as_it_does_and_named_in_a_header(classifier: Server) -> None:
    body = {"inputs": TEXT, "top": 1, "topk": 1, "user\r\nx-evil: 1": 2, "é": 3, "normalise": True}
    for route in ("/predict", "/"):
        response = httpx.post(f"{classifier.url}{route}", json=body)
        assert response.status_code == 200
        ignored = response.headers["x-ignored-fields"].split(", ")
        assert ignored == (["topk", "normalise"] if route == "/predict" else ["top", "topk", "normalise"])
        assert "x-evil" not in response.headers
    assert "x-ignored-fields" not in httpx.post(f"{classifier.url}/predict", json={"inputs": TEXT}).headers
