"""Graphs of models that attend to references: inputs of their own, and found by the runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest

from app_client import expected, post, with_app
from commands import Replank
from reference_batches import TEXTS, batch_of, masked
from replank.benchmarking.run import BenchmarkConfig, benchmark
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.models.weights import REFERENCES
from replank.runtime.load import load_model
from replank.runtime.predictors import ReferencePredictor
from replank.runtime.session import open_session
from replank.system.errors import ModelError, UsageError
from replank.text.padding import INPUT_NAMES, REFERENCE_NAMES
from replank_export.convert import ExportConfig, export
from replank_export.int8 import StaticInt8
from replank_export.profile.graph_report import graph_report
from replank_export.profile.torch_flops import torch_flops
from replank_export.quantize import quantize
from replank_export.triton import TritonConfig, write_repository
from replank_serve.engine.engine import Engine


def test_the_graph_takes_references_by_name(referenced_onnx: Path) -> None:
    session = open_session(referenced_onnx / "model.onnx", device="cpu", threads=1)
    assert [node.name for node in session.get_inputs()] == [*INPUT_NAMES, *REFERENCE_NAMES]
    shapes = {node.name: node.shape for node in session.get_inputs()}
    assert shapes["reference_keys"] == ["batch_size", "reference_length", 32]
    assert shapes["reference_mask"] == ["batch_size", "reference_length"]
    operators = [node.op_type for node in onnx.load(referenced_onnx / "model.onnx").graph.node]
    assert (operators.count("MultiHeadAttention"), operators.count("Attention")) == (1, 1)


def test_the_bank_goes_along(referenced: Path, referenced_onnx: Path, referenced_int8: Path) -> None:
    bank = (referenced / REFERENCES).read_bytes()
    for folder in (referenced_onnx, referenced_int8):
        assert (folder / REFERENCES).read_bytes() == bank
        assert Artifact.open(folder).manifest.references == Artifact.open(referenced).manifest.references
        assert isinstance(load_model(open_source(folder)).predictor, ReferencePredictor)


def test_it_answers_as_torch_does_with_references_and_without(referenced: Path, referenced_onnx: Path) -> None:
    batch = batch_of(referenced)
    torch_model, graph = (load_model(open_source(folder)).predictor for folder in (referenced, referenced_onnx))
    np.testing.assert_allclose(graph(batch), torch_model(batch), atol=1e-5)
    np.testing.assert_allclose(graph(masked(batch)), torch_model(masked(batch)), atol=1e-5)
    assert np.abs(graph(batch) - graph(masked(batch))).max() > 1e-4


def test_verification_is_of_every_padding(referenced_onnx: Path) -> None:
    found = Artifact.open(referenced_onnx).manifest.verification
    assert found is not None
    assert len(found.cases) == 8
    assert found.max_abs < 1e-4


def test_integers_answer_nearly_alike(referenced_onnx: Path, referenced_int8: Path, data: DataConfig) -> None:
    batch = batch_of(referenced_onnx)
    ours, theirs = (load_model(open_source(folder)).predictor(batch) for folder in (referenced_int8, referenced_onnx))
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() > 0.9
    operators = [node.op_type for node in onnx.load(referenced_int8 / "model.onnx").graph.node]
    assert not {"MatMul", "Gemm"} & set(operators)


def test_calibration_has_references_too(referenced_onnx: Path, data: DataConfig, tmp_path: Path) -> None:
    config = StaticInt8(max_drop=1.0, allow_slower=True, calibration_rows=16)
    made = quantize(open_source(referenced_onnx), tmp_path / "static", config, data)
    assert len(load_model(open_source(made.path)).predict(TEXTS)) == len(TEXTS)


def test_every_command_finds_the_references(
    referenced: Path, referenced_int8: Path, data: DataConfig, replank: Replank
) -> None:
    onnx_folder = referenced_int8.with_name("referenced-onnx")
    judged_by = ("--data", data.data, "--text", "sentence", "--max-drop", 1.0)
    for folder in (onnx_folder, referenced_int8):
        assert replank("predict", folder, "the film is superb").out.startswith("positive")
        assert replank("verify", referenced, folder, *judged_by).code == 0
        assert "RefBERT-style: 192 texts" in replank("inspect", folder).out


def test_it_is_served(referenced_onnx: Path) -> None:
    model = load_model(open_source(referenced_onnx), threads=1)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        assert (await post(http, {"inputs": TEXTS[:4]})).json() == expected(model, TEXTS[:4])

    with_app(model, client)


def test_its_time_is_with_the_retrieval(referenced_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark times predictors, and this one looks up every batch anew."""
    predictor, batch = load_model(open_source(referenced_onnx)).predictor, batch_of(referenced_onnx)
    assert isinstance(predictor, ReferencePredictor)
    found: list[int] = []
    monkeypatch.setattr(predictor, "inner", lambda batch: found.append(len(batch.references.mask)))
    for _ in range(3):
        predictor(batch)
    assert found == [len(TEXTS)] * 3


def test_it_is_benchmarked_with_the_size_of_its_bank(referenced_onnx: Path) -> None:
    shape: dict[str, Any] = {"batch_sizes": (1,), "lengths": (8,), "rounds": 1, "max_seconds": 0.0, "min_seconds": 0.01}
    found = benchmark(BenchmarkConfig(models=(str(referenced_onnx),), **shape))
    (model,) = found.models
    assert model.model_bytes == sum((referenced_onnx / name).stat().st_size for name in ("model.onnx", REFERENCES))


def test_its_operators_and_flops_are_told(referenced: Path, referenced_onnx: Path) -> None:
    report = graph_report(open_source(referenced_onnx), 1, 16)
    assert report.fused["attention"] == (2, 2)
    assert report.forward_pass.macs == torch_flops(open_source(referenced), 1, 16).macs
    assert not report.forward_pass.uncounted


def test_what_cannot_be_is_refused(referenced: Path, referenced_onnx: Path, tmp_path: Path) -> None:
    source = open_source(referenced)
    for config in (ExportConfig(features=True), ExportConfig(precision="fp16")):
        with pytest.raises(UsageError, match="attends to references"):
            export(source, tmp_path / "out", config)
    with pytest.raises(ModelError, match="no exporter that may be chosen"):
        export(source, tmp_path / "out", ExportConfig(exporter="dynamo"))
    with pytest.raises(ModelError, match="which Triton cannot find"):
        write_repository(open_source(referenced_onnx), tmp_path / "triton", TritonConfig())


def test_a_graph_without_references_is_refused(referenced_onnx: Path, onnx_artifact: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", REFERENCES):
        (folder / name).write_bytes((referenced_onnx / name).read_bytes())
    (folder / "model.onnx").write_bytes((onnx_artifact / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match=r"expected .* and reference_keys, reference_values, reference_mask"):
        load_model(open_source(folder))


def test_the_quantized_model_keeps_its_quality(referenced_int8: Path) -> None:
    quality = Artifact.open(referenced_int8).manifest.quality
    assert quality is not None
    assert quality.metrics["accuracy"] > 0.8
