"""`replank inspect`: what a graph is made of, what of it is not INT8, how far it is from what the machine can do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import quantize_dynamic

from commands import Replank, error_lines
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.system.quiet import quiet_logging
from replank_export.fusion.trace import trace_torchscript
from replank_export.profile.flops import ForwardPass, MatMul, Weight
from replank_export.profile.graph_report import graph_report
from replank_export.profile.roofline import Machine, roofline
from replank_export.profile.torch_flops import torch_flops

MODEL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
WHOLE = {"attention": (2, 2), "layer norms": (4, 4), "gelu": (2, 2), "embeddings": (1, 1)}


def foreign(artifact: Path, folder: Path) -> Path:
    """A folder of the same model that another tool could have made: it has no manifest."""
    folder.mkdir()
    for name in (*MODEL_FILES, "model.onnx"):
        shutil.copyfile(artifact / name, folder / name)
    return folder


def seen(replank: Replank, *arguments: object) -> dict[str, Any]:
    done = replank("inspect", *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    facts: dict[str, Any] = json.loads(done.out)
    return facts


# The graph


def test_operators_and_fusions_are_those_of_the_graph(onnx_artifact: Path, int8_artifact: Path) -> None:
    for folder in (onnx_artifact, int8_artifact):
        report = graph_report(open_source(folder), 1, 32)
        nodes = [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]
        assert report.operators == {name: nodes.count(name) for name in set(nodes)}
        assert list(report.operators.values()) == sorted(report.operators.values(), reverse=True)
        assert report.fused == WHOLE
        assert report.not_int8 == []
    assert report.operators["MultiHeadAttention"] == 2


def test_an_unfused_graph_says_so_and_does_the_same_work(
    replank: Replank, successor: Path, onnx_artifact: Path, tmp_path: Path
) -> None:
    folder = foreign(onnx_artifact, tmp_path / "foreign")
    trace_torchscript(
        (source := open_source(successor)), folder / "model.onnx", source.task, token_type_ids=True, opset=18
    )
    raw, fused = (seen(replank, path) for path in (folder, onnx_artifact))
    assert "digest" not in raw
    assert raw["graph"]["fused"] == {
        name: {"fused": 0, "of": entry["of"]} for name, entry in fused["graph"]["fused"].items()
    }
    assert raw["work"]["flops"] == fused["work"]["flops"]
    told = replank("inspect", folder).out
    assert "none: a plain model folder" in told
    assert "0 of 2 layers' attention fused" in told
    assert "0 of 1 embeddings fused" in told


def test_a_model_without_gelu_has_none_to_fuse(onnx_artifact: Path, tmp_path: Path) -> None:
    folder = foreign(onnx_artifact, tmp_path / "foreign")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}), encoding="utf-8")
    assert set(graph_report(open_source(folder), 1, 32).fused) == {"attention", "layer norms", "embeddings"}


def test_what_stays_in_floating_point_is_listed(
    replank: Replank, onnx_artifact: Path, int8_artifact: Path, tmp_path: Path
) -> None:
    folder = foreign(int8_artifact, tmp_path / "foreign")
    graph = onnx.load(onnx_artifact / "model.onnx").graph
    wide = {tensor.name for tensor in graph.initializer if list(tensor.dims) == [32, 64]}
    kept = next(node.name for node in graph.node if node.op_type == "MatMul" and node.input[1] in wide)
    settings = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    with quiet_logging():
        quantize_dynamic(
            onnx_artifact / "model.onnx", folder / "model.onnx", nodes_to_exclude=[kept], extra_options=settings
        )
    facts = seen(replank, folder)
    assert facts["graph"]["not_int8"] == [{"name": kept, "operator": "MatMul", "shape": [32, 64]}]
    table = {entry["precision"]: entry for entry in facts["work"]["precisions"]}
    assert (table["fp32"]["matrices"], table["fp32"]["bytes"]) == (1, 4 * 32 * 64)
    assert table["fp32"]["macs"] == 128 // 2 * 32 * 64 + 2 * 2 * 64 * 64 * 32
    lines = replank("inspect", folder).out.splitlines()
    assert [line.split() for line in lines if line.startswith("not int8")] == [
        ["not", "int8", "32", "x", "64", kept],
    ]


def test_a_weight_in_int8_that_is_multiplied_in_floating_point_is_listed(onnx_artifact: Path, tmp_path: Path) -> None:
    """ONNX Runtime has no INT8 kernel for a fused Attention between quantize and dequantize."""
    folder = foreign(onnx_artifact, tmp_path / "foreign")
    model = onnx.load(folder / "model.onnx")
    nodes = {node.name: node for node in model.graph.node}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    scales: dict[str, np.ndarray[Any, Any]] = {"scale": np.array(0.01, np.float32), "zero": np.array(0, np.int8)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in scales.items())
    linear = [node for node in nodes.values() if node.op_type in ("Attention", "MatMul")]
    for node in linear:
        for side in (0, 1):
            wide, narrow, again = node.input[side], f"{node.name}/{side}/int8", f"{node.name}/{side}/again"
            if side == 1:
                values = np.round(numpy_helper.to_array(weights[wide]) / 0.01).clip(-127, 127).astype(np.int8)
                model.graph.initializer.append(numpy_helper.from_array(values, narrow))
            else:
                model.graph.node.append(onnx.helper.make_node("QuantizeLinear", [wide, "scale", "zero"], [narrow]))
            model.graph.node.append(onnx.helper.make_node("DequantizeLinear", [narrow, "scale", "zero"], [again]))
            node.input[side] = again
    graph = onnx_ir.from_proto(model)
    graph.graph.sort()
    onnx_ir.save(graph, folder / "model.onnx")
    report = graph_report(open_source(folder), 1, 32)
    listed = [entry["name"] for entry in report.not_int8]
    assert {node.name for node in linear if node.op_type == "Attention"} <= set(listed)
    assert not {node.name for node in linear if node.op_type == "MatMul"} & set(listed)
    assert report.forward_pass.macs == graph_report(open_source(onnx_artifact), 1, 32).forward_pass.macs


def test_a_damaged_graph_is_an_error(replank: Replank, onnx_artifact: Path, tmp_path: Path) -> None:
    folder = foreign(onnx_artifact, tmp_path / "foreign")
    (folder / "model.onnx").write_bytes(b"no graph at all")
    done = replank("inspect", folder)
    assert done.code == 1
    assert "model.onnx" in error_lines(done)[0]


# The command


def test_a_torch_model_has_work_and_no_graph(replank: Replank, successor: Path) -> None:
    facts = seen(replank, successor, "--batch-size", 2, "--length", 8)
    assert facts["work"] == json.loads(json.dumps(torch_flops(open_source(successor), 2, 8).to_json()))
    assert {"graph", "speed"} & set(facts) == set()
    told = replank("inspect", successor, "--batch-size", 2, "--length", 8).out
    assert "one pass of 2 x 8 tokens" in told
    assert "operators" not in told


def test_the_length_is_the_models_at_most(replank: Replank, int8_artifact: Path) -> None:
    facts = seen(replank, int8_artifact)
    assert (facts["work"]["batch_size"], facts["work"]["length"]) == (1, 64)
    assert seen(replank, int8_artifact, "--length", 20)["work"]["length"] == 20


def test_a_person_is_told_the_same_within_a_hundred_columns(replank: Replank, int8_artifact: Path) -> None:
    facts = seen(replank, int8_artifact)
    told = replank("inspect", int8_artifact).out
    for words in ("2 of 2 layers' attention fused", "4 of 4 layer norms fused", "MultiHeadAttention×2", "not int8"):
        assert (words in told) == (words != "not int8")
    rows = {line.split()[0]: line.split() for line in told.splitlines() if line.split()}
    for entry in facts["work"]["precisions"]:
        row = [str(entry["matrices"]), f"{entry['bytes'] / 1e6:.1f}", f"{entry['mac_share']:.1%}"]
        assert rows[entry["precision"]] == [entry["precision"], *row]
    work = told[told.index("one pass of") :]
    assert max(len(line.rstrip()) for line in work.splitlines()) <= 100


def test_without_onnx_the_files_are_checked_and_the_graph_is_left_out(
    replank: Replank, monkeypatch: pytest.MonkeyPatch, int8_artifact: Path, successor: Path
) -> None:
    """As in the image that serves."""
    for module in ("replank.system.extras", "replank.cli.inspect"):
        monkeypatch.setattr(f"{module}.installed_version", lambda package: None)
    facts = json.loads(replank("inspect", int8_artifact, "--json").out)
    assert facts["digest"] == Artifact.open(int8_artifact).manifest.digest
    assert not {"work", "graph"} & facts.keys()
    assert replank("inspect", int8_artifact).code == 0
    done = replank("inspect", int8_artifact, "--measure")
    assert done.code == 1
    assert error_lines(done) == ["error: not installed: onnx", 'hint: pip install "replank[export]"']
    assert replank("inspect", successor).code == 0


# The roofline


def forward_pass_of(*matmuls: MatMul, weight_bytes: int) -> ForwardPass:
    matrix = Weight("matrix", "int8", (weight_bytes, 1), weight_bytes)
    table = Weight("table", "fp32", (10**6, 100), 4 * 10**8, is_table=True)
    bias = Weight("bias", "fp32", (10**9,), 4 * 10**9)
    return ForwardPass(1, 128, 10**9, matmuls, (matrix, table, bias))


def test_the_roofline_is_the_higher_of_two_times() -> None:
    machine = Machine(2, {"fp32": 1e11, "int8": 1e12}, bytes_per_second=1e10, cache_bytes=2 * 10**6)
    matmuls = (
        MatMul("projection", "QAttention", "int8", rows=100, inner=1000, columns=1000),
        MatMul("scores", "QAttention", "fp32", rows=100, inner=10, columns=100, repeats=100, has_weight=False),
        # The CPU has no MatMuls in fp16: it converts.
        MatMul("head", "MatMul", "fp16", rows=1, inner=1000, columns=10_000),
    )
    least = roofline(forward_pass_of(*matmuls, weight_bytes=10**6), machine)
    assert least.compute_ms == pytest.approx(0.2 + 0.2 + 0.2)
    assert (least.memory_ms, least.ms) == (0, least.compute_ms)
    # Of tables and biases next to nothing is read; of matrices what no cache holds.
    streaming = roofline(forward_pass_of(*matmuls, weight_bytes=12 * 10**6), machine)
    assert streaming.compute_ms == least.compute_ms
    assert streaming.ms == streaming.memory_ms == pytest.approx(1.0)


def test_measuring_gives_the_distance(replank: Replank, int8_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replank_export.profile.roofline._SECONDS_PER_SHAPE", 0.01)
    monkeypatch.setattr("replank_export.profile.roofline._SECONDS_PER_MODEL", 0.05)
    monkeypatch.setattr("replank_export.profile.roofline._COPIED_BYTES", 2**20)
    speed = seen(replank, int8_artifact, "--measure")["speed"]
    assert set(speed["flops_per_second"]) == {"fp32", "int8"}
    assert 0 < speed["fastest_ms"] <= speed["measured_ms"]
    assert speed["roofline_ms"] == max(speed["compute_ms"], speed["memory_ms"]) > 0
    assert speed["distance"] == pytest.approx(speed["measured_ms"] / speed["roofline_ms"])
    assert speed["threads"] == 1
    told = replank("inspect", int8_artifact, "--measure").out.splitlines()
    assert [line.split()[0] for line in told[-4:]] == ["MatMuls", "memory", "at", "latency"]
    assert told[-1].rstrip().endswith("x away")


def test_an_encoder_without_a_head_is_counted_but_not_measured(replank: Replank, encoder: Path) -> None:
    assert seen(replank, encoder)["work"]["flops"] > 0
    done = replank("inspect", encoder, "--measure")
    assert done.code == 1
    assert "is an encoder without a classification head" in error_lines(done)[0]
