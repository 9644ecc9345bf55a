"""The Python interface on tiny models: the chain as a user would write it, and the refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import replank
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.system.errors import ArtifactError, ModelError, QualityGateError, UsageError


def test_the_five_lines(predecessor: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the design, on a tiny model and its own data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "predecessor").symlink_to(predecessor)
    successor = replank.compress("predecessor", "out/successor", replank.Theseus(layers=2, epochs=1), data=data)
    onnx = replank.export(successor, "out/onnx")
    int8 = replank.quantize(onnx, "out/int8", replank.DynamicInt8(allow_slower=True, max_drop=0.5), data=data)
    assert isinstance(int8, Artifact)
    assert int8.path == Path("out/int8")
    model = replank.load("out/int8")
    (prediction,) = model.predict(["the film is warm and lovely"])
    assert prediction.label in ("negative", "positive")
    assert prediction.score == max(prediction.scores.values())
    assert sum(prediction.scores.values()) == pytest.approx(1.0)
    # An artifact is a model like any other; where a plugin is the fastest, it may round otherwise.
    (same,) = replank.load(int8, device="cpu").predict(["the film is warm and lovely"])
    assert same.scores == pytest.approx(prediction.scores, abs=0.01)


def test_a_model_answers_what_its_kind_of_task_answers(onnx_artifact: Path) -> None:
    model = replank.load(onnx_artifact, device="cpu")
    with pytest.raises(ModelError, match="labels whole texts") as refusal:
        model.embed(["a"])
    assert refusal.value.hint == "call predict()"
    with pytest.raises(ModelError, match="labels whole texts"):
        model.tag(["a"])
    assert model.predict([]) == []


def test_one_text_is_not_answered_letter_by_letter(onnx_artifact: Path) -> None:
    with pytest.raises(UsageError, match="`texts` is one text; expected a list of texts"):
        replank.load(onnx_artifact, device="cpu").predict("good film")


def test_pairs_are_pairs(pair_onnx_artifact: Path, onnx_artifact: Path) -> None:
    pairs = replank.load(pair_onnx_artifact, device="cpu")
    answers = pairs.predict([("good film", "bad film"), ("a", "b")])
    assert [set(answer.scores) for answer in answers] == [{"yes", "no"}] * 2
    with pytest.raises(UsageError, match="the model takes pairs"):
        pairs.predict(["good film"])
    with pytest.raises(UsageError, match="the model takes single texts"):
        replank.load(onnx_artifact, device="cpu").predict([("a", "b")])


def test_vectors_of_a_bare_encoder(encoder: Path, tmp_path: Path) -> None:
    vectors = replank.load(replank.export(encoder, tmp_path / "vectors", replank.Export(features=True)), device="cpu")
    found = vectors.embed(["good film", "a much longer film with music and a plot", "good film"])
    assert found.shape == (3, 32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(found[0], found[2])
    first = vectors.embed(["good film"], pooling="cls", normalize=False)
    assert not np.allclose(first, found[:1])
    assert vectors.embed([]).shape[0] == 0


def test_evaluate_and_verify(successor: Path, onnx_artifact: Path, int8_artifact: Path, data: DataConfig) -> None:
    quality = replank.evaluate(onnx_artifact, data=data)
    assert set(quality.metrics) == {"accuracy", "macro_f1"}
    with pytest.raises(UsageError, match="no data given"):
        replank.evaluate(onnx_artifact)
    exact = replank.verify(successor, onnx_artifact)
    exact.require()
    assert exact.is_judged
    without_data = replank.verify(successor, int8_artifact)
    assert not without_data.is_judged
    with pytest.raises(UsageError, match="nothing is verified yet: int8 is judged by the task's metric"):
        without_data.require()
    judged = replank.verify(successor, int8_artifact, data=data)
    assert judged.qualities is not None
    judged.require(max_drop=1.0)
    with pytest.raises(QualityGateError, match="`max_drop` allows -100"):
        judged.require(max_drop=-1.0)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no model folder"):
        replank.load(tmp_path)
    (tmp_path / "replank.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match="is damaged"):
        replank.load(tmp_path)
