"""INT8: complete, no worse than allowed, faster than its source, and refused where it is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.int8_facts import Int8Facts, Int8Speed
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.session import open_session
from replank.system.environment import int8_target
from replank.system.errors import DataError, ModelError, QualityGateError, UsageError
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8, StaticInt8
from replank_export.int8.accuracy import keep_until_good
from replank_export.int8.prepared_graph import float_weights
from replank_export.quantize import quantize, require_faster
from small_models import save_model


def test_quantization_keeps_no_weight_in_float_and_says_what_it_costs(onnx_artifact: Path, int8_artifact: Path) -> None:
    manifest = Artifact.open(int8_artifact).manifest
    operators = [node.op_type for node in onnx.load(str(int8_artifact / "model.onnx")).graph.node]
    # Queries, keys, values, what joins the heads, and the two of the feed-forward part; the pooler and the classifier.
    assert operators.count("MatMulIntegerToFloat") == 2 * 6 + 2
    assert operators.count("MultiHeadAttention") == 2
    assert not {"MatMul", "Gemm", "Attention"} & set(operators)
    assert manifest.precision == "int8"
    assert manifest.made_by.facts_of(Int8Facts).kept_in_float == float_weights(int8_artifact / "model.onnx") == ()
    source = Artifact.open(onnx_artifact).manifest
    assert manifest.quality is not None
    assert source.quality is not None
    assert manifest.quality.source_metrics == source.quality.metrics
    assert manifest.quality.drop == pytest.approx(
        source.quality.metrics["accuracy"] - manifest.quality.metrics["accuracy"]
    )


def test_what_stays_in_float_is_listed(onnx_artifact: Path) -> None:
    listed = float_weights(onnx_artifact / "model.onnx")
    assert [entry.shape for entry in listed if entry.operator == "Attention"] == [(32, 96)] * 2


def scale_part(model: onnx.ModelProto, name: str, part: Any, factor: float) -> None:
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[part] *= factor
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))


def as_plain_folder(artifact: Path, folder: Path, model: onnx.ModelProto) -> Path:
    """The folder of an artifact with another graph in it, which no manifest describes."""
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((artifact / name).read_bytes())
    onnx.save(model, str(folder / "model.onnx"))
    return folder


def test_what_costs_quality_goes_back_to_floating_point(onnx_artifact: Path, data: DataConfig, tmp_path: Path) -> None:
    source = open_source(onnx_artifact)
    model = onnx.load(str(onnx_artifact / "model.onnx"))
    sensitive = set()
    for node in [node for node in model.graph.node if node.op_type == "Attention"]:
        # The same function in fp32; in INT8 this one channel takes the whole range from all others.
        (output,) = [user for user in model.graph.node if user.op_type == "MatMul" and node.output[0] in user.input]
        scale_part(model, node.input[1], np.s_[:, 64], 1e4)
        scale_part(model, node.input[2], np.s_[64], 1e4)
        scale_part(model, output.input[1], np.s_[0, :], 1e-4)
        sensitive.add(output.name)
    folder = as_plain_folder(onnx_artifact, tmp_path / "spoilt", model)
    spoilt = dataclasses.replace(source, folder=folder, artifact=None)
    artifact = quantize(spoilt, tmp_path / "int8", DynamicInt8(max_drop=0.0, allow_slower=True), data)
    # The first try keeps the one whose return helps most, the second two.
    kept = {entry.node for entry in artifact.manifest.made_by.facts_of(Int8Facts).kept_in_float}
    assert kept & sensitive
    assert len(kept) <= 2
    operators = [node.op_type for node in onnx.load(str(artifact.model_file)).graph.node]
    assert operators.count("MatMulIntegerToFloat") + len(kept) == 2 * 6 + 2
    dev = data.load(artifact.manifest.task).split("dev")
    before, after = (load_model(item).logits(dev.first) for item in (spoilt, open_source(artifact.path)))
    assert (after.argmax(axis=1) == dev.labels).sum() >= (before.argmax(axis=1) == dev.labels).sum()


@pytest.mark.parametrize(("max_drop", "told"), [(0.005, r"0\.5 \(of 50 rows, one is 2\.0 points\)"), (0.05, "5")])
def test_int8_that_cannot_hold_is_refused(
    max_drop: float, told: str, onnx_artifact: Path, data: DataConfig, tmp_path: Path
) -> None:
    reference = load_model(open_source(onnx_artifact))
    dev = data.load().split("dev").head(50)
    with (
        DynamicInt8().prepare(onnx_artifact / "model.onnx") as graph,
        pytest.raises(QualityGateError, match=rf"INT8 costs 100.00 points with 16 of 17 .* allows {told}$"),
    ):
        keep_until_good(graph, tmp_path / "model.onnx", max_drop, reference, dev, lambda: 1.0)


@pytest.mark.parametrize("calibration", ["minmax", "percentile", "entropy"])
def test_static_scales_come_from_texts_of_the_task(
    calibration: Any, onnx_artifact: Path, data: DataConfig, tmp_path: Path
) -> None:
    config = StaticInt8(calibration=calibration, calibration_rows=32, max_drop=0.1, allow_slower=True)
    artifact = quantize(open_source(onnx_artifact), tmp_path / "int8", config, data)
    operators = [node.op_type for node in onnx.load(str(artifact.model_file)).graph.node]
    assert operators.count("MatMul") + operators.count("Gemm") == 2 * 6 + 2
    # Queries, keys and values have the same input.
    assert operators.count("QuantizeLinear") == 2 * 4 + 2
    assert "DynamicQuantizeLinear" not in operators
    assert not {"EmbedLayerNormalization", "QEmbedLayerNormalization"} & set(operators)
    made_by = artifact.manifest.made_by
    assert made_by.facts_of(Int8Facts).scheme == "static"
    assert made_by.facts_of(Int8Facts).kept_in_float == ()
    quality = artifact.manifest.quality
    assert quality is not None
    assert quality.drop is not None
    assert quality.drop <= 0.1


def test_a_scale_is_the_largest_that_was_seen(onnx_artifact: Path, data: DataConfig, tmp_path: Path) -> None:
    """Min-max calibration, worked out by hand: the range of the first linear layer's input over unpadded texts."""
    import onnxruntime

    config = StaticInt8(calibration_rows=16, max_drop=0.1, allow_slower=True)
    artifact = quantize(open_source(onnx_artifact), tmp_path / "int8", config, data)
    graph = onnx.load(str(onnx_artifact / "model.onnx"))
    first = next(node for node in graph.graph.node if node.op_type == "EmbedLayerNormalization").output[0]
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(first))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    model = load_model(open_source(onnx_artifact))
    low, high = 0.0, 0.0
    for tokens in model.text_encoder.tokenize(data.load().split("train").first[:16]):
        (values,) = session.run([first], model.text_encoder.pad([tokens]).inputs())
        low, high = min(low, values.min()), max(high, values.max())
    quantized = onnx.load(str(artifact.model_file)).graph
    node = next(node for node in quantized.node if node.op_type == "QuantizeLinear" and node.input[0] == first)
    (scale,) = [tensor for tensor in quantized.initializer if tensor.name == node.input[1]]
    # The table of embeddings is in INT8 as well by then: its rounding moves the range a little.
    assert float(onnx.numpy_helper.to_array(scale)) == pytest.approx((high - low) / 255, rel=0.02)


def test_calibration_without_texts_or_with_too_few_is_refused(
    onnx_artifact: Path, data: DataConfig, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="the scheme static is calibrated on texts of the task, and no data is given"):
        quantize(open_source(onnx_artifact), tmp_path / "out", StaticInt8())
    with pytest.raises(DataError, match="the train split has 192 rows; the scheme static is calibrated on 500"):
        quantize(open_source(onnx_artifact), tmp_path / "out", StaticInt8(calibration_rows=500), data)
    with pytest.raises(UsageError, match="`calibration_rows` is 8; expected 16 or more"):
        StaticInt8(calibration_rows=8)
    assert not list(tmp_path.iterdir())


def test_int8_that_is_not_faster_is_refused_unless_asked_for(
    onnx_artifact: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    speed = Int8Speed(length=64, source_ms=1.0, ms=1.5)
    with pytest.raises(QualityGateError, match=r"INT8 takes 1.50 ms for 64 tokens, its source 1.00 ms"):
        require_faster(speed, DynamicInt8())
    require_faster(speed, DynamicInt8(allow_slower=True))
    assert "serve the fp32 model on this machine" in caplog.text
    require_faster(dataclasses.replace(speed, ms=0.9), DynamicInt8())
    artifact = quantize(open_source(onnx_artifact), tmp_path / "out", DynamicInt8(allow_slower=True))
    found = artifact.manifest.made_by.facts_of(Int8Facts).speed
    assert found is not None
    assert found.ms > 0
    assert found.source_ms > 0
    assert found.length == 64


def test_another_target_is_written_down_and_its_weights_have_seven_bits(onnx_artifact: Path, tmp_path: Path) -> None:
    largest = {}
    for target in ("avx2", "vnni"):
        config = DynamicInt8(target=target, allow_slower=True)
        artifact = quantize(open_source(onnx_artifact), tmp_path / target, config)
        assert artifact.manifest.made_by.facts_of(Int8Facts).target == target
        assert artifact.manifest.made_by.facts_of(Int8Facts).reduce_range == (target == "avx2")
        graph = onnx.load(str(artifact.model_file)).graph
        weights = {node.input[1] for node in graph.node if node.op_type == "MatMulIntegerToFloat"}
        largest[target] = max(
            np.abs(onnx.numpy_helper.to_array(tensor).astype(int)).max()
            for tensor in graph.initializer
            if tensor.name in weights
        )
    assert largest == {"avx2": 64, "vnni": 127}
    with pytest.raises(UsageError, match="`target` is sse; expected one of native, vnni, avx2, arm64"):
        DynamicInt8(target="sse")  # type: ignore[arg-type]


def test_embeddings_shrink_too_and_the_sizes_are_told(int8_artifact: Path) -> None:
    sizes = Artifact.open(int8_artifact).manifest.made_by.facts_of(Int8Facts).sizes
    assert sizes is not None
    assert sizes.int8.embeddings < 0.3 * sizes.source.embeddings
    assert sizes.int8.rest < 0.5 * sizes.source.rest


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
@pytest.mark.parametrize("model_type", ["roberta", "mpnet"])
def test_every_exporters_graph_is_quantized_whole(model_type: str, exporter: Any, tmp_path: Path) -> None:
    """Also a bias of positions, which ONNX Runtime's INT8 attention does not take, and what is not fused at all."""
    folder = save_model(model_type, tmp_path / "torch")
    exported = export(open_source(folder), tmp_path / "onnx", ExportConfig(exporter=exporter, allow_unfused=True))
    artifact = quantize(open_source(exported.path), tmp_path / "int8", DynamicInt8(allow_slower=True))
    assert artifact.manifest.made_by.facts_of(Int8Facts).kept_in_float == ()
    verification = artifact.manifest.verification
    assert verification is not None
    assert min(case.cosine or 0.0 for case in verification.cases) > 0.99


def test_a_graph_with_lengths_for_a_mask_is_told_of(
    onnx_artifact: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = onnx.load(str(onnx_artifact / "model.onnx"))
    (embeddings,) = [node for node in model.graph.node if node.op_type == "EmbedLayerNormalization"]
    embeddings.input.extend([""] * (7 - len(embeddings.input)) + ["mask32"])
    model.graph.node.insert(0, onnx.helper.make_node("Cast", ["attention_mask"], ["mask32"], to=onnx.TensorProto.INT32))
    for node in model.graph.node:
        if node.op_type == "Attention":
            node.input[3] = embeddings.output[1]
    folder = as_plain_folder(onnx_artifact, tmp_path / "lengths", model)
    quantize(open_source(folder), tmp_path / "int8", DynamicInt8(allow_slower=True))
    assert "reduces the attention mask to lengths" in caplog.text


def test_quantizing_twice_or_a_raw_graph_is_refused(int8_artifact: Path, successor: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is quantized already"):
        quantize(open_source(int8_artifact), tmp_path / "out", DynamicInt8())
    with pytest.raises(ModelError, match="needs one of kind onnx"):
        quantize(open_source(successor), tmp_path / "out", DynamicInt8())
    assert not list(tmp_path.iterdir())


def test_a_graph_in_fp16_is_refused(successor: Path, tmp_path: Path) -> None:
    converted = export(open_source(successor), tmp_path / "fp16", ExportConfig(precision="fp16"))
    with pytest.raises(ModelError, match="is not in fp32"):
        quantize(open_source(converted.path), tmp_path / "out", DynamicInt8())


def test_a_model_made_for_another_machine_is_told_of_when_loaded(
    onnx_artifact: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = "avx2" if int8_target() != "avx2" else "vnni"
    for target in (other, int8_target()):
        caplog.clear()
        config = DynamicInt8(target=target, allow_slower=True)  # type: ignore[arg-type]
        artifact = quantize(open_source(onnx_artifact), tmp_path / target, config)
        caplog.clear()
        load_model(open_source(artifact.path))
        assert ("and this machine is" in caplog.text) == (target == other)


def test_a_token_far_larger_than_all_others_costs_them_nothing(onnx_artifact: Path, tmp_path: Path) -> None:
    """One scale for a batch would round the first row away; each token has its own."""
    generator = np.random.default_rng(0)
    hidden = generator.random((1, 2, 64), dtype=np.float32)
    hidden[:, 1] *= 1e4
    weights = generator.standard_normal((64, 8), dtype=np.float32)
    nodes = [onnx.helper.make_node("Relu", ["x"], ["h"]), onnx.helper.make_node("MatMul", ["h", "w"], ["y"], name="p")]
    shapes = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", "length", width])
        for name, width in (("x", 64), ("y", 8))
    ]
    tensors = [onnx.numpy_helper.from_array(weights, "w")]
    graph = onnx.helper.make_graph(nodes, "g", shapes[:1], shapes[1:], tensors)
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9),
        tmp_path / "g.onnx",
    )
    with DynamicInt8().prepare(tmp_path / "g.onnx") as ready:
        ready.write(tmp_path / "int8.onnx")
    (found,) = open_session(tmp_path / "int8.onnx").run(None, {"x": hidden})
    expected = hidden @ weights
    error = np.abs(found - expected).max(axis=2) / np.abs(expected).max(axis=2)
    assert error.max() < 0.02
