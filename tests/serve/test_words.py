"""Words with their labels, and tokens, over HTTP."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app_client import CONFIG, assert_error, post, with_app
from replank.data.config import DataConfig
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank_compress.finetune import finetune
from replank_compress.training.config import FinetuneConfig
from replank_export.convert import ExportConfig, export
from replank_serve.engine.engine import Engine
from tiny import BAD, FILLER, GOOD


@pytest.fixture(scope="module")
def tagger(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """An ONNX model for which good words are PRAISE and bad ones BLAME."""
    folder = tmp_path_factory.mktemp("tagger")
    generator = random.Random(0)  # noqa: S311 - test data, no secret
    for split, rows in (("train", 96), ("dev", 16)):
        lines = []
        for _ in range(rows):
            words = generator.choices(FILLER + GOOD + BAD, k=6)
            tags = ["B-PRAISE" if word in GOOD else "B-BLAME" if word in BAD else "O" for word in words]
            tags = [
                tag.replace("B-", "I-") if before == tag else tag
                for before, tag in zip(["O", *tags], tags, strict=False)
            ]
            lines.append(json.dumps({"tokens": words, "ner_tags": tags}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    data = DataConfig(data=folder, task="token-classification", max_length=32)
    config = FinetuneConfig(epochs=6, batch_size=16, learning_rate=2e-3, precision="fp32")
    tuned = finetune(open_source(encoder), folder / "torch", config, data)
    onnx = export(open_source(tuned.path), folder / "onnx", ExportConfig())
    return load_model(open_source(onnx.path), threads=1)


def test_words_are_answered_as_predict_does_and_lie_where_it_says(tagger: Model) -> None:
    texts = ["the  film is superb\u00a0great", "\U0001f600 (dull) plot,\tgood.", "", "good " * 60]
    words_of = [texts[0].split(), ["\U0001f600", "(", "dull", ")", "plot", ",", "good", "."], [], ["good"] * 60]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await post(http, {"inputs": texts}, "/ner")
        answers = response.json()
        for text, cut, answer, expected in zip(texts, words_of, answers, tagger.tag(texts), strict=True):
            words = expected.words
            assert [word["text"] for word in answer["words"]] == [word.text for word in words] == cut
            assert [text[word["start"] : word["end"]] for word in answer["words"]] == cut
            assert [word["label"] for word in answer["words"]] == [word.label for word in words]
            scores = [word.score and pytest.approx(word.score, abs=1e-5) for word in words]
            assert [word["score"] for word in answer["words"]] == scores
        # Beyond the length that the model reads.
        assert answers[3]["words"][-1]["label"] is None
        assert answers[2] == {"words": [], "entities": []}
        blame, praise = answers[1]["entities"]
        assert (blame["label"], blame["text"], blame["start"], blame["end"]) == ("BLAME", "dull", 3, 7)
        assert (praise["label"], praise["text"], praise["start"], praise["end"]) == ("PRAISE", "good", 15, 19)
        one = await post(http, {"inputs": texts[0]}, "/ner")
        assert one.json() == answers[0]
        assert one.headers["x-compute-tokens"] == "7"

    with_app(tagger, client)


def test_a_model_is_asked_what_it_answers(model: Model, tagger: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        text: dict[str, Any] = {"inputs": "a"}
        wrong = await post(http, text | {"model": "words"})
        assert_error(wrong, 422, "validation", "the model words labels each word; POST /ner asks it")
        assert_error(
            await post(http, text, "/ner"), 422, "validation", "the model texts labels whole texts; POST /predict"
        )
        assert (await post(http, text | {"model": "words"}, "/ner")).status_code == 200
        tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
        infer = await post(http, {"inputs": [tensor]}, "/v2/models/words/infer")
        assert_error(infer, 422, "validation", "labels each word; POST /ner asks it")
        info = (await http.get("/info?model=words")).json()
        assert info["task"]["kind"] == "token-classification"

    with_app({"texts": model, "words": tagger}, client)


def test_tokens_are_those_that_the_model_reads(model: Model, pair_model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        texts = ["the superbfilm", "good " * 99]
        found = (await post(http, {"inputs": texts}, "/tokenize")).json()
        for row, tokens in zip(found, model.text_encoder.tokenize(texts), strict=True):
            assert [token["id"] for token in row] == tokens.ids
        assert len(found[1]) == 32
        assert [token["text"] for token in found[0]][:4] == ["[CLS]", "the", "superb", "##f"]
        assert [token["special"] for token in found[0]] == [True, *[False] * 6, True]
        pair = {"inputs": ["the film", "good"], "model": "pair"}
        (await post(http, pair, "/tokenize")).raise_for_status()
        (row,) = (await post(http, pair, "/tokenize")).json()
        assert [(token["text"], token["segment"]) for token in row] == [
            ("[CLS]", 0), ("the", 0), ("film", 0), ("[SEP]", 0), ("good", 1), ("[SEP]", 1)
        ]  # fmt: skip

    with_app({"one": model, "pair": pair_model}, client, replace(CONFIG, max_texts=2))
