"""From torch to ONNX: fused completely, and right under every padding, for every architecture."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import write_tokenizer
from test_theseus import make_model

from export.accuracy import keep_until_good
from export.convert import ExportConfig, export
from export.int8 import DynamicInt8, float_weights, prepared
from export.quantize import quantize
from export.verify import Difference, Verification, difference, hostile_cases, verify
from replank.artifact import Artifact
from replank.data import DataConfig
from replank.encoders import ENCODERS
from replank.errors import ModelError, QualityGateError, UsageError
from replank.runtime import load_model
from replank.source import open_source
from replank.text import Batch

# Nodes of two layers; RoBERTa's embeddings and DistilBERT's GELU are not fused by this optimizer.
GOLDEN = {
    "bert": {"Attention": 2, "SkipLayerNormalization": 4, "EmbedLayerNormalization": 1, "BiasGelu": 2},
    "electra": {"Attention": 2, "SkipLayerNormalization": 4, "EmbedLayerNormalization": 1, "BiasGelu": 2},
    "distilbert": {"Attention": 2, "SkipLayerNormalization": 4, "EmbedLayerNormalization": 1, "BiasGelu": 2},
    "roberta": {"Attention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2},
    "xlm-roberta": {"Attention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2},
    "camembert": {"Attention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2},
    "data2vec-text": {"Attention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2},
    "xlm-roberta-xl": {"Attention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2},
    "roberta-prelayernorm": {"Attention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2},
    "ernie": {"Attention": 2, "SkipLayerNormalization": 4, "EmbedLayerNormalization": 1, "BiasGelu": 2},
}


@pytest.mark.parametrize("model_type", [name for name in ENCODERS if name not in GOLDEN])
def test_attention_that_is_not_fused_is_refused(model_type: str, tmp_path: Path) -> None:
    make_model(model_type).save_pretrained(tmp_path / "torch")
    write_tokenizer(tmp_path / "torch")
    with pytest.raises(ModelError, match=r"fusion found \d Attention nodes for 4 layers; expected 4"):
        export(open_source(tmp_path / "torch"), tmp_path / "onnx", ExportConfig())
    assert not (tmp_path / "onnx").exists()


@pytest.mark.parametrize("model_type", list(GOLDEN))
def test_every_architecture_is_fused_and_right_under_any_padding(model_type: str, tmp_path: Path) -> None:
    layers = {"n_layers": 2} if model_type == "distilbert" else {"num_hidden_layers": 2}
    model = make_model(model_type)
    model.config.update(layers)
    type(model)(model.config).save_pretrained(tmp_path / "torch")
    write_tokenizer(tmp_path / "torch")
    manifest = export(open_source(tmp_path / "torch"), tmp_path / "onnx", ExportConfig()).manifest
    assert manifest.made_by["fused"] == GOLDEN[model_type]
    assert manifest.verification is not None
    cases = {case["case"]: case["max_abs"] for case in manifest.verification["cases"]}
    assert set(cases) == {
        "right padding", "left padding", "padding on both sides", "holes",
        "batch of one", "length one", "maximal length",
    }  # fmt: skip
    assert max(cases.values()) <= 1e-5


def test_the_hostile_set_is_what_its_names_say(successor: Path) -> None:
    cases = {case.name: case.batches for case in hostile_cases(load_model(open_source(successor)))}
    left = cases["left padding"][0].attention_mask
    assert (left[:, -1] == 1).all()
    assert (left[:, 0] == 0).any()
    both = cases["padding on both sides"][0].attention_mask
    assert ((both[:, 0] == 0) & (both[:, -1] == 0)).any()
    holes = cases["holes"][0].attention_mask
    assert (np.abs(np.diff(holes, axis=1)).sum(axis=1) > 2).any()
    assert [batch.shape for batch in cases["maximal length"]] == [(2, 64), (1, 64)]
    assert cases["length one"][0].shape == (3, 1)
    assert all(batch.attention_mask.any(axis=1).all() for batches in cases.values() for batch in batches)


def test_a_graph_that_ignores_left_padding_is_refused(successor: Path, onnx_artifact: Path) -> None:
    reference, candidate = load_model(open_source(successor)), load_model(open_source(onnx_artifact))

    def blind(batch: Batch) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """What ONNX Runtime's default fusion does: it counts the mask and takes it for a prefix."""
        prefix = np.arange(batch.shape[1]) < batch.attention_mask.sum(axis=1, keepdims=True)
        return candidate.predictor(dataclasses.replace(batch, attention_mask=prefix.astype(np.int64)))

    result = verify(reference, dataclasses.replace(candidate, predictor=blind), precision="fp32")
    assert {item.case for item in result.failures} == {"left padding", "padding on both sides", "holes"}
    with pytest.raises(QualityGateError, match=r"differ from those of .* the tolerance is 0.0001"):
        result.require()


def test_a_graph_that_gives_no_numbers_is_refused_at_any_precision(successor: Path, onnx_artifact: Path) -> None:
    reference, candidate = load_model(open_source(successor)), load_model(open_source(onnx_artifact))
    broken = dataclasses.replace(candidate, predictor=lambda batch: candidate.predictor(batch) * np.float32(np.nan))
    with pytest.raises(QualityGateError, match="nan"):
        verify(reference, broken, precision="int8").require()


def test_difference_is_what_its_fields_say() -> None:
    reference = np.array([[3.0, -1.0], [0.0, 1.0]], dtype=np.float32)
    candidate = np.array([[3.0, -1.0], [1.0, 0.5]], dtype=np.float32)
    found = difference("x", reference, candidate, "classification")
    assert found == Difference("x", 2, 1.0, 0.375, 3.0, round(10 * float(np.log10(11 / 1.25)), 2), 0.5)
    assert difference("x", reference, reference, "classification").sqnr_db is None
    assert Verification("r", 1e-4, (found,)).failures == [found]


def test_quantization_keeps_no_weight_in_float_and_says_what_it_costs(onnx_artifact: Path, int8_artifact: Path) -> None:
    manifest = Artifact.open(int8_artifact).manifest
    operators = [node.op_type for node in onnx.load(str(int8_artifact / "model.onnx")).graph.node]
    assert operators.count("QAttention") == 2
    assert not {"MatMul", "Gemm", "Attention"} & set(operators)
    assert manifest.precision == "int8"
    assert manifest.made_by["kept_in_float"] == float_weights(int8_artifact / "model.onnx") == []
    source = Artifact.open(onnx_artifact).manifest
    assert manifest.quality is not None
    assert source.quality is not None
    assert manifest.quality["source_metrics"] == source.quality["metrics"]
    assert manifest.quality["drop"] == pytest.approx(
        source.quality["metrics"]["accuracy"] - manifest.quality["metrics"]["accuracy"]
    )


def test_what_stays_in_float_is_listed(onnx_artifact: Path) -> None:
    listed = float_weights(onnx_artifact / "model.onnx")
    assert [entry["operator"] for entry in listed].count("Attention") == 2
    assert {"operator": "Attention", "shape": [32, 96]}.items() <= next(
        entry for entry in listed if entry["operator"] == "Attention"
    ).items()


def scale_part(model: onnx.ModelProto, name: str, part: Any, factor: float) -> None:
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[part] *= factor
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))


def test_what_costs_quality_goes_back_to_floating_point(onnx_artifact: Path, data: DataConfig, tmp_path: Path) -> None:
    graph = tmp_path / "spoilt"
    graph.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (graph / name).write_bytes((onnx_artifact / name).read_bytes())
    source = open_source(onnx_artifact)
    model = onnx.load(str(onnx_artifact / "model.onnx"))
    sensitive = set()
    for node in [node for node in model.graph.node if node.op_type == "Attention"]:
        # The same function in fp32; in INT8 this one channel takes the whole range from all others.
        (product,) = [user for user in model.graph.node if user.op_type == "MatMul" and node.output[0] in user.input]
        scale_part(model, node.input[1], np.s_[:, 64], 1e4)
        scale_part(model, node.input[2], np.s_[64], 1e4)
        scale_part(model, product.input[1], np.s_[0, :], 1e-4)
        sensitive.add(product.name)
    onnx.save(model, str(graph / "model.onnx"))
    spoilt = dataclasses.replace(source, folder=graph, artifact=None)
    artifact = quantize(spoilt, tmp_path / "int8", DynamicInt8(max_drop=0.0), data)
    # The first try keeps the one whose return helps most, the second two.
    kept = {entry["node"] for entry in artifact.manifest.made_by["kept_in_float"]}
    assert kept & sensitive
    assert len(kept) <= 2
    operators = [node.op_type for node in onnx.load(str(artifact.model_file)).graph.node]
    assert operators.count("QAttention") + operators.count("Attention") == 2
    dev = data.load(artifact.manifest.task).split("dev")
    before, after = (load_model(item).logits(dev.first) for item in (spoilt, open_source(artifact.path)))
    assert (after.argmax(axis=1) == dev.labels).sum() >= (before.argmax(axis=1) == dev.labels).sum()


def test_int8_that_cannot_hold_is_refused(onnx_artifact: Path, data: DataConfig, tmp_path: Path) -> None:
    reference = load_model(open_source(onnx_artifact))
    dev = data.load().split("dev")
    with (
        prepared(onnx_artifact / "model.onnx") as graph,
        pytest.raises(QualityGateError, match=r"INT8 costs 100.00 points with 8 of \d+ products in floating point"),
    ):
        keep_until_good(graph, tmp_path / "model.onnx", DynamicInt8(), reference, dev, lambda: 1.0)


def test_quantizing_twice_or_a_raw_graph_is_refused(int8_artifact: Path, successor: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is quantized already"):
        quantize(open_source(int8_artifact), tmp_path / "out", DynamicInt8())
    with pytest.raises(ModelError, match="needs one of kind onnx"):
        quantize(open_source(successor), tmp_path / "out", DynamicInt8())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("opset", [16, 21])
def test_an_opset_that_does_not_fuse_is_refused(opset: int) -> None:
    with pytest.raises(UsageError, match=f"--opset is {opset}; expected 17 to 20"):
        ExportConfig(opset=opset)
