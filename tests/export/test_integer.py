"""Encoders in integers as graphs: the definition's integers in every family, and artifacts like any other."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from app_client import expected, post, with_app
from commands import Replank
from integer_encoders import FAMILIES, integer_encoder, random_inputs, ranges_of
from replank.benchmarking.run import BenchmarkConfig, benchmark
from replank.data.config import DataConfig
from replank.integer.encoder import IntegerEncoder
from replank.models.artifact import Artifact
from replank.models.int8_facts import Int8Facts
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import DataError, ModelError, QualityGateError, UsageError
from replank.text.padding import Batch
from replank_export.integer.audit import audit
from replank_export.integer.check import require_equal
from replank_export.integer.config import IntegerInt8
from replank_export.integer.graph import add_encoder
from replank_export.integer.nodes import IntegerTarget, Nodes
from replank_export.schemes import quantize
from replank_serve.engine.engine import Engine
from small_models import make_model, save_model


def compare(made: IntegerEncoder, definition: IntegerEncoder, target: IntegerTarget, batches: list[Batch]) -> int:
    """The check of one encoder's graph against another's definition."""
    nodes = Nodes(target)
    states = add_encoder(nodes, made, token_type_ids=False)
    kind = TensorProto.UINT8 if target == "cpu" else TensorProto.INT8
    names = ("input_ids", "attention_mask")
    graph = helper.make_graph(
        nodes.nodes,
        "encoder",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names],
        [helper.make_tensor_value_info(state, kind, None) for state in states],
        nodes.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return require_equal(model, states, definition, nodes.zero_point, batches)


def batches_of(model: Any, lengths: tuple[int, ...]) -> list[Batch]:
    return [Batch(*random_inputs(model, 3, length, seed=length)) for length in lengths]


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize("family", FAMILIES)
def test_graphs_give_the_definitions_integers(family: str, target: IntegerTarget) -> None:
    model = make_model(family, **FAMILIES[family])
    encoder = integer_encoder(model, ranges_of(model, *random_inputs(model, 6, 20)))
    batches = batches_of(model, (1, 2, 17, 60))
    assert compare(encoder, encoder, target, batches) == 5 * 3 * 32 * (1 + 2 + 17 + 60)


def test_graphs_of_weights_at_their_corners_give_the_definitions_integers() -> None:
    """Gammas of zero and below, rows of one constant, scales far apart, and rows of padding alone."""
    model = make_model()
    with torch.no_grad():
        for number, (name, weight) in enumerate(model.named_parameters()):
            weight *= (1e-7, 1.0, 1e4)[number % 3]
            if name.endswith("LayerNorm.weight"):
                weight[::3] = 0.0
        model.bert.embeddings.word_embeddings.weight[5:30] = 0.25
    inputs = random_inputs(model, 4, 12)
    encoder = integer_encoder(model, ranges_of(model, *inputs))
    ids, mask = inputs
    mask[2] = 0
    assert compare(encoder, encoder, "cpu", [Batch(ids, mask)])


def test_a_graph_that_is_wrong_is_found_out() -> None:
    model = make_model()
    encoder = integer_encoder(model, ranges_of(model, *random_inputs(model, 6, 20)))
    layer = encoder.layers[2]
    other = dataclasses.replace(layer.gelu, edge=layer.gelu.edge // 2)
    layers = (*encoder.layers[:2], dataclasses.replace(layer, gelu=other), *encoder.layers[3:])
    with pytest.raises(QualityGateError, match=r"integers of layers\.2\.output differ"):
        compare(encoder, dataclasses.replace(encoder, layers=layers), "cpu", batches_of(model, (9,)))


@pytest.fixture(scope="module")
def integer_artifact(successor: Path, data: DataConfig) -> Path:
    """The successor in integers."""
    config = IntegerInt8(max_drop=0.1, calibration_rows=32)
    return quantize(open_source(successor), successor.with_name("integer"), config, data).path


def test_the_manifest_tells_bits_and_largest_values(integer_artifact: Path) -> None:
    manifest = Artifact.open(integer_artifact).manifest
    facts = manifest.made_by.facts_of(Int8Facts).integer
    assert facts is not None
    assert manifest.precision == "int8"
    assert manifest.quality is not None
    assert manifest.quality.drop is not None
    assert manifest.quality.drop <= 0.1
    assert all(tensor.largest < 2 ** (tensor.bits - 1) for tensor in facts.tensors)
    assert {tensor.bits for tensor in facts.tensors} == {8, 9, 16, 22, 30, 32}
    assert set(facts.types) <= {"bool", "int8", "uint8", "int32", "uint32", "int64", "uint64"}
    # The input of the head, its weights, and what it computes: nothing else is of floating point.
    assert all(name.startswith(("head.", "constant_")) or name == "logits" for name in facts.float_tensors)


def test_a_tensor_of_floating_point_before_the_head_is_found(integer_artifact: Path) -> None:
    model = onnx.load(str(integer_artifact / "model.onnx"))
    first = next(node for node in model.graph.node if node.op_type == "Abs")
    there = helper.make_node("Cast", [first.input[0]], ["real"], name="real", to=TensorProto.FLOAT)
    back = helper.make_node("Cast", ["real"], ["back"], name="back", to=TensorProto.INT32)
    place = list(model.graph.node).index(first)
    first.input[0] = "back"
    for number, node in enumerate((there, back)):
        model.graph.node.insert(place + number, node)
    with pytest.raises(ModelError, match="the tensor real before the head is of floating point"):
        audit(model, "logits")


def test_answers_are_the_same_bits_whatever_shares_the_batch_and_the_machine(
    integer_artifact: Path, data: DataConfig
) -> None:
    source = open_source(integer_artifact)
    texts = data.load(source.task).split("test").first[:32]
    found = [
        load_model(source, threads=threads).logits(texts, batch_size=size) for threads in (1, 2) for size in (1, 32)
    ]
    assert all((logits == found[0]).all() for logits in found)
    facts = Artifact.open(integer_artifact).manifest.made_by.facts_of(Int8Facts)
    assert facts.batch_difference == 0


def test_commands_take_it_as_any_artifact(
    integer_artifact: Path, replank: Replank, successor: Path, data: DataConfig, tmp_path: Path
) -> None:
    assert replank("predict", integer_artifact, "a good film").code == 0
    asked = ("--data", data.data, "--text", "sentence", "--split", "test", "--json")
    quality = Artifact.open(integer_artifact).manifest.quality
    assert quality is not None
    scored = replank("evaluate", integer_artifact, *asked)
    assert json.loads(scored.out)["metrics"] == quality.metrics
    short: dict[str, Any] = {"batch_sizes": (1,), "lengths": (8,), "rounds": 1, "max_seconds": 0.0, "min_seconds": 0.01}
    timed = benchmark(BenchmarkConfig(models=(str(successor), str(integer_artifact)), **short))
    assert [model.precision for model in timed.models] == ["fp32", "int8"]
    for stage in (successor, integer_artifact):
        shutil.copytree(stage, tmp_path / stage.name)
    assert replank("report", tmp_path).code == 0
    assert "integer" in (tmp_path / "report.md").read_text(encoding="utf-8")
    unjudged = replank("verify", successor, integer_artifact, "--json")
    assert (unjudged.code, "nothing is verified yet" in unjudged.err) == (2, True)
    judged = replank(
        "verify", successor, integer_artifact, "--data", data.data, "--text", "sentence", "--max-drop", 1.0
    )
    assert judged.code == 0
    shown = replank("inspect", integer_artifact)
    assert "integers" in shown.out
    assert "layers.1.output_sum" in shown.out


def test_it_is_served_with_the_answers_it_has_alone(integer_artifact: Path) -> None:
    model = load_model(open_source(integer_artifact), threads=1)
    texts = ["a good film", "the plot is very dull", "bad"]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        answers = (await post(http, {"inputs": texts})).json()
        assert answers == [expected(model, [text])[0] for text in texts]

    with_app(model, client)


@pytest.mark.parametrize("kind", ["electra", "distilbert", "roberta"])
def test_a_head_of_each_family_answers_as_torch_does(kind: str, tmp_path: Path) -> None:
    source = open_source(save_model(kind, tmp_path / "model"))
    table = tmp_path / "train.tsv"
    rows = [f"the film is {'good' if row % 2 else 'bad'} {'very ' * (row % 5)}\t{row % 2}" for row in range(32)]
    table.write_text("\n".join(["sentence\tlabel", *rows]) + "\n", encoding="utf-8")
    made = quantize(
        source,
        tmp_path / "out",
        IntegerInt8(max_drop=1.0, calibration_rows=16),
        DataConfig(train=table, dev=table, text="sentence", label="label"),
    )
    found = made.manifest.verification
    assert found is not None
    assert all(case.sqnr_db is None or case.sqnr_db > 10 for case in found.cases if case.case == "real texts")


def test_bad_input_is_one_error_and_nothing_is_written(
    onnx_artifact: Path, successor: Path, encoder: Path, data: DataConfig, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(ModelError, match="is a model of kind onnx; the scheme integer"):
        quantize(open_source(onnx_artifact), out, IntegerInt8(), data)
    with pytest.raises(UsageError, match="no data is given"):
        quantize(open_source(successor), out, IntegerInt8())
    with pytest.raises(DataError, match="has 192 rows; the scheme integer is calibrated on 500"):
        quantize(open_source(successor), out, IntegerInt8(calibration_rows=500), data)
    with pytest.raises(ModelError, match="without a"):
        quantize(open_source(encoder), out, IntegerInt8(), data)
    relu = make_model(num_hidden_layers=2, hidden_act="relu")
    relu.save_pretrained(tmp_path / "relu")
    save_model("bert", tmp_path / "plain")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "relu" / file).write_bytes((tmp_path / "plain" / file).read_bytes())
    with pytest.raises(ModelError, match="activation 'relu'"):
        quantize(open_source(tmp_path / "relu"), out, IntegerInt8(), data)
    assert not list(tmp_path.glob("*out*"))
