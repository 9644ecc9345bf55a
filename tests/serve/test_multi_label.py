"""A model of several labels a text, asked over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from app_client import post, with_app
from plain_folders import multi_label_folder
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank_serve.engine.engine import Engine

LABELS = ("joy", "anger", "fear")
THRESHOLDS = (0.3, 0.6, 0.5)
TEXTS = ["the film is superb", "a very dull plot", "music"]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Model:
    loaded = load_model(open_source(multi_label_folder(tmp_path_factory.mktemp("several"), LABELS)), threads=1)
    return replace(loaded, task=replace(loaded.task, thresholds=THRESHOLDS))


def probabilities(model: Model) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-model.logits(TEXTS).astype(np.float64))))


def test_predict_gives_independent_scores_and_says_which_hold(several: Model) -> None:
    truth = probabilities(several)
    assert not np.allclose(truth.sum(axis=1), 1, atol=0.05)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        for row, entries in zip(truth, (await post(http, {"inputs": TEXTS})).json(), strict=True):
            assert [entry["score"] for entry in entries] == pytest.approx(sorted(row, reverse=True), abs=1e-5)
            for entry in entries:
                place = LABELS.index(entry["label"])
                assert entry["score"] == pytest.approx(row[place], abs=1e-5)
                assert entry["holds"] is bool(row[place] >= THRESHOLDS[place])
        raw = (await post(http, {"inputs": TEXTS[0], "raw_scores": True})).json()
        assert set(raw[0]) == {"label", "score"}
        hub = (await post(http, {"inputs": TEXTS[0]}, "/")).json()
        assert {entry["label"]: entry["score"] for entry in hub[0]} == pytest.approx(
            dict(zip(LABELS, truth[0], strict=True)), abs=1e-5
        )
        info = (await http.get("/info")).json()["task"]
        assert info["thresholds"] == dict(zip(LABELS, THRESHOLDS, strict=True))
        assert (info["kind"], info["route"]) == ("multi-label", "/predict")

    with_app(several, client)


def test_tensors_are_scores_and_truth_values(several: Model) -> None:
    truth = probabilities(several)
    holds = (truth >= THRESHOLDS).ravel()
    inputs = [{"name": "text", "shape": [3], "datatype": "BYTES", "data": TEXTS}]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        name = (await http.get("/models")).json()[0]["name"]
        scores, found = (await post(http, {"inputs": inputs}, f"/v2/models/{name}/infer")).json()["outputs"]
        assert (scores["name"], scores["datatype"], scores["shape"]) == ("scores", "FP32", [3, 3])
        assert scores["data"] == pytest.approx(truth.ravel(), abs=1e-5)
        assert found == {"name": "holds", "datatype": "BOOL", "shape": [3, 3], "data": holds.tolist()}
        asked = {"inputs": inputs, "outputs": [{"name": "holds", "parameters": {"binary_data": True}}]}
        answer = await post(http, asked, f"/v2/models/{name}/infer")
        assert answer.content[int(answer.headers["inference-header-content-length"]) :] == bytes(holds.tolist())
        described = (await http.get(f"/v2/models/{name}")).json()["outputs"]
        assert [output["datatype"] for output in described] == ["FP32", "BOOL"]

    with_app(several, client)


def test_a_plain_model_decides_from_a_half_on(tmp_path: Path) -> None:
    model = load_model(open_source(multi_label_folder(tmp_path / "plain", LABELS)), threads=1)
    assert model.task.thresholds_by_label == dict.fromkeys(LABELS, 0.5)
    for row, found in zip(probabilities(model), model.predict(TEXTS), strict=True):
        assert set(found.labels) == {label for label, value in zip(LABELS, row, strict=True) if value >= 0.5}
