"""Graphs of embedding models: pooling inside or outside, and INT8 judged by what vectors are scored on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from embedding_folders import save_embedding_model
from replank.data.config import DataConfig
from replank.models.int8_facts import Int8Facts
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import QualityGateError, UsageError
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8
from replank_export.quantize import quantize
from tiny import save_table, sentences

TEXTS = ["a good film", "the very dull plot of a film with music and it is bad", "it"]
PROMPTS = {"query": "the film "}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pooled") / "model"
    return save_embedding_model(made, {"pooling_mode": "cls"}, "Normalize", prompts=PROMPTS)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    rows = [(text,) for text, _ in sentences(64, 3)]
    return DataConfig(dev=save_table(tmp_path_factory.mktemp("texts"), "dev.tsv", ["text"], rows))


def test_a_graph_that_pools_gives_the_vectors_itself(folder: Path, texts: DataConfig, tmp_path: Path) -> None:
    expected = load_model(open_source(folder))
    made = export(open_source(folder), tmp_path / "onnx", ExportConfig(pooled=True), texts)
    assert made.manifest.task.kind.name == "sentence-embedding"
    assert made.manifest.quality is not None
    assert made.manifest.quality.metrics == pytest.approx({"cosine": 1.0, "neighbours": 1.0}, abs=1e-4)
    loaded = load_model(open_source(made.path))
    for prompt in (None, "query"):
        vectors = loaded.embed(TEXTS, prompt_name=prompt)
        np.testing.assert_allclose(vectors, expected.embed(TEXTS, prompt_name=prompt), atol=1e-5)
    # Nothing of replank is needed to get them.
    session = onnxruntime.InferenceSession(made.path / "model.onnx", providers=["CPUExecutionProvider"])
    batch = loaded.text_encoder.pad(loaded.text_encoder.tokenize(TEXTS)).inputs()
    (found,) = session.run(["sentence_embedding"], {node.name: batch[node.name] for node in session.get_inputs()})
    np.testing.assert_allclose(np.asarray(found), expected.embed(TEXTS), atol=1e-5)
    plain = tmp_path / "plain"
    plain.mkdir()
    for file in ("model.onnx", "config.json", "tokenizer.json", "tokenizer_config.json", "modules.json"):
        (plain / file).write_bytes((made.path / file).read_bytes())
    (plain / "1_Pooling").mkdir()
    (plain / "1_Pooling" / "config.json").write_bytes((made.path / "1_Pooling" / "config.json").read_bytes())
    assert open_source(plain).task.vector_settings.pooling is None


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_graph_that_pools_is_quantized(pooling: str, texts: DataConfig, tmp_path: Path) -> None:
    folder = save_embedding_model(tmp_path / "model", {"pooling_mode": pooling}, "Normalize")
    onnx = export(open_source(folder), tmp_path / "onnx", ExportConfig(pooled=True))
    made = quantize(open_source(onnx.path), tmp_path / "int8", DynamicInt8(max_drop=0.2, allow_slower=True), texts)
    facts = made.manifest.made_by.facts
    assert isinstance(facts, Int8Facts)
    assert not facts.kept_in_float, "every matrix of the layers is found"
    expected = load_model(open_source(folder)).embed(TEXTS)
    found = load_model(open_source(made.path)).embed(TEXTS)
    assert (expected * found).sum(axis=1).min() > 0.8


def test_int8_is_judged_by_likeness_where_there_are_no_labels(folder: Path, texts: DataConfig, tmp_path: Path) -> None:
    onnx = export(open_source(folder), tmp_path / "onnx", ExportConfig())
    made = quantize(open_source(onnx.path), tmp_path / "int8", DynamicInt8(max_drop=0.2, allow_slower=True), texts)
    quality = made.manifest.quality
    assert quality is not None and quality.source_metrics is not None and quality.drop is not None
    assert quality.source_metrics["cosine"] == pytest.approx(1.0, abs=1e-4)
    assert quality.drop == pytest.approx(quality.source_metrics["cosine"] - quality.metrics["cosine"])
    assert 0.8 <= quality.metrics["cosine"] < 1
    with pytest.raises(QualityGateError, match="`max_drop` allows 0"):
        quantize(open_source(onnx.path), tmp_path / "no", DynamicInt8(max_drop=0.0, allow_slower=True), texts)


def test_only_embedding_models_are_pooled(successor: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`pooled` is for embedding models"):
        export(open_source(successor), tmp_path / "onnx", ExportConfig(pooled=True))
    with pytest.raises(UsageError, match="choose one"):
        ExportConfig(pooled=True, features=True)
