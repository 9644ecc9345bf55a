"""fp16: half the bytes, the same labels, and nothing that overflows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.facts import ExportFacts
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import QualityGateError
from replank_export.convert import ExportConfig, export
from small_models import make_model
from tiny import write_tokenizer


@pytest.fixture(scope="module")
def converted(successor: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    out = tmp_path_factory.mktemp("fp16") / "fp16"
    return export(open_source(successor), out, ExportConfig(precision="fp16"), data)


def test_weights_take_two_bytes_and_inputs_and_outputs_stay(converted: Artifact, onnx_artifact: Path) -> None:
    graph = onnx.load(str(converted.model_file)).graph
    kinds = {tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 2}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert converted.model_file.stat().st_size < 0.65 * (onnx_artifact / "model.onnx").stat().st_size
    assert converted.manifest.precision == "fp16"
    assert converted.manifest.made_by.facts_of(ExportFacts).kept_in_fp32 == ()


def test_labels_are_the_same(converted: Artifact, successor: Path, data: DataConfig) -> None:
    texts = data.load().split("dev").first
    ours, theirs = (load_model(open_source(path)).logits(texts) for path in (successor, converted.path))
    assert np.abs(ours - theirs).max() < 5e-3
    np.testing.assert_array_equal(ours.argmax(axis=1), theirs.argmax(axis=1))


def overflowing(folder: Path, factor: float) -> Path:
    """A model whose first feed-forward part gives numbers of a factor beyond fp16, which its norm brings back."""
    model = make_model("bert", hidden_act="relu")
    with torch.no_grad():
        layer = model.bert.encoder.layer[0]
        layer.intermediate.dense.weight *= factor
        layer.intermediate.dense.bias *= factor
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_what_overflows_stays_in_fp32_and_is_named(exporter: str, tmp_path: Path) -> None:
    folder = overflowing(tmp_path / "torch", 1e6)
    config = ExportConfig(precision="fp16", exporter=exporter)  # type: ignore[arg-type]
    artifact = export(open_source(folder), tmp_path / "onnx", config)
    kept = artifact.manifest.made_by.facts_of(ExportFacts).kept_in_fp32
    assert kept
    nodes = {node.name for node in onnx.load(str(artifact.model_file)).graph.node}
    assert set(kept) <= nodes
    assert artifact.manifest.verification is not None
    assert np.isfinite(artifact.manifest.verification.max_abs)


def test_weights_beyond_fp16_are_refused_by_the_comparison(tmp_path: Path) -> None:
    """Nothing that is computed overflows, but a weight does: the graph's numbers are wrong, and so refused."""
    model = make_model("bert", hidden_act="relu")
    with torch.no_grad():
        layer = model.bert.encoder.layer[0]
        layer.intermediate.dense.weight *= 1e-6
        layer.intermediate.dense.bias *= 1e-6
        layer.output.dense.weight *= 1e6
    model.save_pretrained(tmp_path / "torch")
    write_tokenizer(tmp_path / "torch")
    with pytest.raises(QualityGateError, match="differ from those of"):
        export(open_source(tmp_path / "torch"), tmp_path / "onnx", ExportConfig(precision="fp16"))
    assert not (tmp_path / "onnx").exists()
