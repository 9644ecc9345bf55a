"""Static graphs: GELU is spelt out in operators that every provider has, and costs the CPU nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.timing import random_batch
from replank_export.convert import ExportConfig, export
from replank_export.int8 import StaticInt8
from replank_export.int8.tanh_gelu import spell_out_gelus
from replank_export.probe import quantize_probe
from replank_export.profile.graph_report import graph_report
from small_models import save_model
from tiny import sentences

# Of ONNX Runtime's own operators, the one that OpenVINO's plugin and the CPU provider both take.
SHARED = {"MultiHeadAttention"}


def gelu_graph(*, bias: bool) -> onnx.ModelProto:
    """y = -FastGelu(x), or -FastGelu(x + b): sessions fuse nothing that is an output."""
    inputs = ["x", "b"] if bias else ["x"]
    graph = helper.make_graph(
        [
            helper.make_node("FastGelu", inputs, ["activated"], name="gelu", domain="com.microsoft"),
            helper.make_node("Neg", ["activated"], ["y"], name="negative"),
        ],
        "gelu",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 8])],
        [numpy_helper.from_array(np.linspace(-1, 1, 8, dtype=np.float32), "b")] if bias else [],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def run(model: onnx.ModelProto, optimized: Path | None = None) -> np.ndarray:
    """The results on numbers from -6 to 6."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if optimized:
        options.optimized_model_filepath = str(optimized)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.linspace(-6, 6, 64, dtype=np.float32).reshape(8, 8)})
    return np.asarray(found)


@pytest.mark.parametrize("bias", [False, True])
def test_a_gelu_that_is_spelt_out_is_the_same_function(bias: bool) -> None:
    model = gelu_graph(bias=bias)
    expected = run(model)
    spell_out_gelus(model)
    onnx.checker.check_model(model)
    assert not [node for node in model.graph.node if node.domain]
    np.testing.assert_allclose(run(model), expected, atol=1e-6, rtol=0)


def test_a_session_on_the_cpu_makes_one_operator_of_it_again(tmp_path: Path) -> None:
    """Without which it would be slower there."""
    model = gelu_graph(bias=False)
    spell_out_gelus(model)
    run(model, tmp_path / "optimized.onnx")
    assert [node.op_type for node in onnx.load(str(tmp_path / "optimized.onnx")).graph.node] == ["FastGelu", "Neg"]


def test_a_graph_without_gelu_stays_as_it_is() -> None:
    model = gelu_graph(bias=False)
    model.graph.node[0].op_type = "Gelu"
    before = model.SerializeToString()
    spell_out_gelus(model)
    assert model.SerializeToString() == before


def test_a_static_graph_has_no_operator_that_a_provider_lacks(static_artifact: Path) -> None:
    graph = onnx.load(str(static_artifact / "model.onnx")).graph
    assert {node.op_type for node in graph.node if node.domain not in ("", "ai.onnx")} == SHARED
    assert graph_report(open_source(static_artifact), 1, 16).fused["gelu"] == (2, 2)


def test_embeddings_that_are_given_their_places_are_decomposed_too(tmp_path: Path) -> None:
    """As DistilBERT's are: no other provider runs the operator that they would become."""
    source = open_source(save_model("distilbert", tmp_path / "torch"))
    fp32 = open_source(export(source, tmp_path / "onnx", ExportConfig()).path)
    (tmp_path / "static").mkdir()
    static = quantize_probe(fp32, tmp_path / "static", StaticInt8(calibration_rows=16), length=12, opset=18)
    graph = onnx.load(str(static.model_file)).graph
    assert {node.op_type for node in graph.node if node.domain not in ("", "ai.onnx")} == SHARED
    expected, found = (load_model(entry, threads=1) for entry in (fp32, static))
    batch = random_batch(expected, 4, 12, seed=1)
    np.testing.assert_allclose(found.predictor(batch), expected.predictor(batch), atol=0.15, rtol=0)


def test_the_cpu_runs_a_static_graph_with_its_gelus_fused(static_artifact: Path, tmp_path: Path) -> None:
    path = static_artifact / "model.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    operators = Counter(node.op_type for node in onnx.load(str(tmp_path / "optimized.onnx")).graph.node)
    assert operators["FastGelu"] == 2
    assert not {"Pow", "Tanh"} & set(operators)


def test_a_static_graph_gives_the_numbers_that_it_gave_with_fused_gelus(static_artifact: Path) -> None:
    """The same as if each cube, tanh and product were a ``FastGelu``: bit for bit, on the CPU."""
    model = load_model(open_source(static_artifact), threads=1)
    texts = [text for text, _ in sentences(40, seed=5)]
    graph = onnx.load(str(static_artifact / "model.onnx"))
    fuse_back(graph)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    batch = model.text_encoder.pad(model.text_encoder.tokenize(texts))
    (expected,) = session.run(["logits"], batch.inputs())
    np.testing.assert_allclose(model.predictor(batch), expected, atol=1e-6, rtol=0)


def fuse_back(model: onnx.ModelProto) -> None:
    """The reverse of ``spell_out_gelus``."""
    nodes = list(model.graph.node)
    cubes = [node for node in nodes if node.op_type == "Pow"]
    assert cubes
    for cube in cubes:
        name = cube.name.removesuffix("_cube")
        (last,) = [node for node in nodes if node.name == name]
        parts = {f"{name}_{part}" for part in ("cube", "term", "inner", "scaled", "tanh", "sum", "half")}
        place = next(index for index, node in enumerate(nodes) if node.name == cube.name)
        fused = helper.make_node("FastGelu", [cube.input[0]], list(last.output), name=name, domain="com.microsoft")
        nodes = [
            node for node in [*nodes[:place], fused, *nodes[place:]] if node.name not in parts and node is not last
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
