"""FLOPs, parameters and bytes: worked out by hand, and the same whatever form a model has."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertForTokenClassification

from replank.models.source import Source, open_source
from replank.system.errors import ModelError
from replank_export.fusion.trace import trace_dynamo, trace_torchscript
from replank_export.profile.flops import ForwardPass, MatMul
from replank_export.profile.graph_flops import graph_flops
from replank_export.profile.graph_report import graph_report
from replank_export.profile.torch_flops import torch_flops
from small_models import make_model
from tiny import tiny_settings, write_tokenizer

HEADS: dict[str, Any] = {
    "classification": BertForSequenceClassification,
    "token-classification": BertForTokenClassification,
    "masked-lm": BertForMaskedLM,
}


def saved(model: Any, folder: Path) -> Source:
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return open_source(folder)


def of_graph(path: Path, batch_size: int, length: int) -> ForwardPass:
    return graph_flops(onnx.load(path), path.stat().st_size, batch_size, length)


def shares(forward_pass: ForwardPass) -> dict[str, float]:
    return {entry["precision"]: entry["mac_share"] for entry in forward_pass.by_precision()}


# By hand


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        # The pooler and two labels see one token of each of the 3 texts; other heads see all 3 x 16.
        ("classification", 3 * (64 * 64 + 64 * 2)),
        ("token-classification", 3 * 16 * (64 * 2)),
        # A transform, and the words' own table, transposed.
        ("masked-lm", 3 * 16 * (64 * 64 + 64 * 81)),
    ],
)
def test_a_torch_model_does_what_its_shapes_say(kind: str, head: int, tmp_path: Path) -> None:
    settings = tiny_settings(hidden_size=64, intermediate_size=128, num_hidden_layers=2)
    assert settings["vocab_size"] == 81
    model = HEADS[kind](BertConfig(**settings))
    source = saved(model, tmp_path / "torch")
    forward_pass = torch_flops(source, batch_size=3, length=16)
    # Query, key, value and output; up and down; each token with each of its text, twice.
    layer = 3 * 16 * (4 * 64 * 64 + 2 * 64 * 128) + 2 * 3 * 16 * 16 * 64
    assert forward_pass.macs == 2 * layer + head
    with FlopCounterMode(display=False) as counter:
        model(torch.ones(3, 16, dtype=torch.int64))
    assert counter.get_total_flops() == 2 * forward_pass.macs
    values = forward_pass.to_json()
    assert values["flops"] == 2 * forward_pass.macs
    assert values["flops_per_token"] == 2 * forward_pass.macs / 48
    assert values["attention_share"] == pytest.approx(4 * 3 * 16 * 16 * 64 / forward_pass.macs)
    assert values["parameters"] == {
        "all": sum(parameter.numel() for parameter in model.parameters()),
        "embeddings": 64 * (81 + 64 + 2),
    }
    size = (tmp_path / "torch" / "model.safetensors").stat().st_size
    embeddings = 4 * 64 * (81 + 64 + 2)
    assert values["bytes"] == {"file": size, "embeddings": embeddings, "rest": size - embeddings}
    assert values["uncounted"] == {}


def test_what_is_stored_in_fp16_is_computed_in_fp32_by_torch(tmp_path: Path) -> None:
    model = make_model().to(torch.float16)
    forward_pass = torch_flops(saved(model, tmp_path / "torch"), 1, 8)
    table = {entry["precision"]: entry for entry in forward_pass.by_precision()}
    assert table["fp32"]["mac_share"] == 1
    assert (table["fp32"]["matrices"], table["fp16"]["macs"]) == (0, 0)
    assert table["fp16"]["bytes"] == 2 * sum(value.numel() for value in model.parameters() if value.dim() > 1)


def test_the_terms_of_deberta_that_are_not_counted_are_said(tmp_path: Path) -> None:
    model = make_model("deberta", relative_attention=True, pos_att_type=["c2p", "p2c"])
    forward_pass = torch_flops(saved(model, tmp_path / "torch"), 1, 8)
    assert forward_pass.uncounted == {"relative attention": 4}


def test_a_damaged_header_is_an_error(tmp_path: Path) -> None:
    source = saved(make_model(), tmp_path / "torch")
    source.model_file.write_bytes(b"\xff" * 64)
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged: it has no safetensors header"):
        torch_flops(source, 1, 8)


def graph_of(
    nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray[Any, Any]], output: str, opset: int = 17
) -> onnx.ModelProto:
    """A graph from token ids of any batch and length."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("other", 1)]
    return helper.make_model(graph, opset_imports=imports)


def look_up(dtype: type = np.float32) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray[Any, Any]]]:
    """7 words, 8 wide."""
    return [helper.make_node("Gather", ["table", "input_ids"], ["words"])], {"table": np.ones((7, 8), dtype=dtype)}


def test_matmuls_of_a_graph_are_counted_by_their_shapes() -> None:
    nodes, weights = look_up()
    nodes += [
        helper.make_node("MatMul", ["words", "up"], ["hidden"], name="up"),
        helper.make_node("Transpose", ["hidden"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["hidden", "turned"], ["scores"], name="scores"),
        helper.make_node("Gather", ["scores", "first"], ["row"], axis=1),
        # Of one text this stays a matrix of its scores.
        helper.make_node("Gemm", ["row", "down"], ["logits"], name="down", transB=1),
    ]
    weights |= {"up": np.ones((8, 6), np.float32), "down": np.ones((3, 5), np.float32), "first": np.array(0)}
    forward_pass = graph_flops(graph_of(nodes, weights, "logits"), 1000, batch_size=2, length=5)
    assert forward_pass.matmuls == (
        MatMul("up", "MatMul", "fp32", rows=10, inner=8, columns=6),
        MatMul("scores", "MatMul", "fp32", rows=5, inner=6, columns=5, repeats=2, has_weight=False),
        MatMul("down", "Gemm", "fp32", rows=2, inner=5, columns=3),
    )
    assert forward_pass.macs == 10 * 8 * 6 + 2 * 5 * 6 * 5 + 2 * 5 * 3
    assert forward_pass.to_json()["parameters"] == {"all": 7 * 8 + 8 * 6 + 3 * 5, "embeddings": 7 * 8}
    assert forward_pass.to_json()["bytes"] == {"file": 1000, "embeddings": 4 * 7 * 8, "rest": 1000 - 4 * 7 * 8}


@pytest.mark.parametrize(("left", "precision"), [("dequantized", "int8"), ("plain", "fp32"), ("cast", "fp32")])
def test_a_matmul_between_quantize_and_dequantize_is_int8_if_both_sides_are(left: str, precision: str) -> None:
    nodes, weights = look_up(np.int8 if left == "cast" else np.float32)
    sides = {
        "dequantized": [
            helper.make_node("QuantizeLinear", ["words", "scale", "zero"], ["quantized"]),
            helper.make_node("DequantizeLinear", ["quantized", "scale", "zero"], ["left"]),
        ],
        "plain": [helper.make_node("Identity", ["words"], ["left"])],
        "cast": [helper.make_node("Cast", ["words"], ["left"], to=TensorProto.FLOAT)],
    }
    nodes += [
        *sides[left],
        helper.make_node("DequantizeLinear", ["up", "scale", "zero"], ["up/dequantized"]),
        helper.make_node("Transpose", ["up/dequantized"], ["up/turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["left", "up/turned"], ["logits"], name="up"),
    ]
    weights |= {"up": np.ones((6, 8), np.int8), "scale": np.array(1, np.float32), "zero": np.array(0, np.int8)}
    forward_pass = graph_flops(graph_of(nodes, weights, "logits"), 1000, 2, 5)
    assert forward_pass.matmuls == (MatMul("up", "MatMul", precision, rows=10, inner=8, columns=6),)
    stored = {entry["precision"]: (entry["matrices"], entry["bytes"]) for entry in forward_pass.by_precision()}
    assert stored["int8"] == ((2, 6 * 8 + 7 * 8) if left == "cast" else (1, 6 * 8))


@pytest.mark.parametrize(
    ("operator", "domain", "apart"),
    [("MultiHeadAttention", "com.microsoft", False), ("Attention", "", False), ("Attention", "", True)],
)
def test_attention_that_gets_query_key_and_value(operator: str, domain: str, apart: bool) -> None:
    """The heads may stand side by side, or each have a matrix of its own."""
    nodes, weights = look_up(np.float16)
    query = "words"
    heads: dict[str, Any] = {"num_heads": 2} if domain else {"q_num_heads": 2, "kv_num_heads": 2}
    if apart:
        query, heads = "heads", {}
        nodes += [
            helper.make_node("Reshape", ["words", "split"], ["together"]),
            helper.make_node("Transpose", ["together"], ["heads"], perm=[0, 2, 1, 3]),
        ]
        weights["split"] = np.array([0, 0, 2, 4])
    nodes += [helper.make_node(operator, [query] * 3, ["logits"], name="attention", domain=domain, **heads)]
    forward_pass = graph_flops(graph_of(nodes, weights, "logits", opset=23), 1000, batch_size=3, length=5)
    assert forward_pass.matmuls == (
        MatMul("attention", operator, "fp16", rows=5, inner=4, columns=5, repeats=6, has_weight=False),
        MatMul("attention", operator, "fp16", rows=5, inner=5, columns=4, repeats=6, has_weight=False),
    )
    assert forward_pass.uncounted == {}


def test_an_attention_of_packed_inputs_is_not_counted() -> None:
    nodes, weights = look_up()
    nodes += [helper.make_node("MultiHeadAttention", ["words"], ["logits"], domain="com.microsoft", num_heads=2)]
    assert graph_flops(graph_of(nodes, weights, "logits"), 1000, 3, 5).uncounted == {"MultiHeadAttention": 1}


def test_what_cannot_be_followed_is_said() -> None:
    nodes, weights = look_up()
    nodes += [
        helper.make_node("MatMul", ["words", "up"], ["hidden"], name="up"),
        helper.make_node("Mystery", ["hidden"], ["changed"], domain="other"),
        helper.make_node("MatMul", ["changed", "up"], ["logits"], name="after"),
    ]
    forward_pass = graph_flops(graph_of(nodes, weights | {"up": np.ones((8, 8), np.float32)}, "logits"), 1000, 1, 5)
    assert [matmul.name for matmul in forward_pass.matmuls] == ["up"]
    assert forward_pass.uncounted == {"MatMul": 1, "Mystery": 1}


def test_a_graph_that_takes_no_tokens_is_refused() -> None:
    model = graph_of(*look_up(), "words")
    model.graph.input[0].type.tensor_type.shape.dim.add()
    with pytest.raises(ModelError, match="input input_ids has 3 dimensions"):
        graph_flops(model, 1000, 1, 5)


# Against each other


def test_torch_its_graphs_and_its_int8_have_the_same_flops(
    successor: Path, onnx_artifact: Path, int8_artifact: Path, tmp_path: Path
) -> None:
    source = open_source(successor)
    trace_torchscript(source, tmp_path / "torchscript.onnx", source.task, token_type_ids=True, opset=18)
    trace_dynamo(source, tmp_path / "dynamo.onnx", source.task, token_type_ids=True, opset=18)
    fused = onnx.load(onnx_artifact / "model.onnx")
    graphs = {
        "torchscript": onnx.load(tmp_path / "torchscript.onnx"),
        "dynamo": onnx.load(tmp_path / "dynamo.onnx"),
        "fused": fused,
        "fp16": convert_float_to_float16(copy.deepcopy(fused), keep_io_types=True),
        "int8": onnx.load(int8_artifact / "model.onnx"),
    }
    for shape in ((1, 32), (3, 7)):
        expected = torch_flops(source, *shape).to_json()
        passes = {name: graph_flops(graph, 1000, *shape) for name, graph in graphs.items()}
        for graph, forward_pass in passes.items():
            values = forward_pass.to_json()
            assert values["uncounted"] == {}
            for name in ("flops", "attention_share"):
                assert values[name] == expected[name]
            # INT8 leaves out the bias of keys, 32 numbers in each of 2 layers, which the softmax takes out anyway.
            left_out = 2 * 32 if graph == "int8" else 0
            assert values["parameters"]["all"] == expected["parameters"]["all"] - left_out
            assert values["parameters"]["embeddings"] == expected["parameters"]["embeddings"]
        attention = expected["attention_share"]
        assert [shares(passes[name]) for name in ("torchscript", "dynamo", "fused")] == [{"fp32": 1.0}] * 3
        assert shares(passes["fp16"]) == {"fp16": 1.0}
        assert shares(passes["int8"]) == pytest.approx({"int8": 1 - attention, "fp32": attention})
        tables = {name: forward_pass.to_json()["bytes"]["embeddings"] for name, forward_pass in passes.items()}
        assert tables["fused"] == 2 * tables["fp16"] == 4 * tables["int8"]


@pytest.mark.parametrize("model_type", ["distilbert", "electra", "mpnet", "roberta", "xlm-roberta-xl"])
def test_the_names_of_every_architecture_are_understood(model_type: str, tmp_path: Path) -> None:
    source = saved(make_model(model_type), tmp_path / "torch")
    trace_torchscript(source, tmp_path / "raw.onnx", source.task, token_type_ids=False, opset=17)
    torch_values, graph_values = torch_flops(source, 2, 9).to_json(), of_graph(tmp_path / "raw.onnx", 2, 9).to_json()
    assert graph_values["flops"] == torch_values["flops"]
    assert graph_values["uncounted"] == {}


@pytest.mark.parametrize("kind", ["token-classification", "masked-lm"])
def test_heads_that_answer_each_token_have_the_same_flops(kind: str, tmp_path: Path) -> None:
    source = saved(HEADS[kind](BertConfig(**tiny_settings())), tmp_path / "torch")
    trace_torchscript(source, tmp_path / "raw.onnx", source.task, token_type_ids=True, opset=18)
    assert of_graph(tmp_path / "raw.onnx", 2, 9).macs == torch_flops(source, 2, 9).macs


def test_weights_that_lie_apart_are_part_of_the_file(onnx_artifact: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((onnx_artifact / name).read_bytes())
    model = onnx.load(onnx_artifact / "model.onnx")
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="model.onnx_data", size_threshold=64)
    sizes = [(tmp_path / name).stat().st_size for name in ("model.onnx", "model.onnx_data")]
    apart, whole = (graph_report(open_source(folder), 1, 32) for folder in (tmp_path, onnx_artifact))
    assert apart.forward_pass.file_bytes == sum(sizes)
    assert apart.forward_pass.macs == whole.forward_pass.macs
    assert apart.fused == whole.fused
