"""Graphs of other exporters: what their outputs are, and what in their folder says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from model_folder import change
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import ModelError
from replank_export.convert import ExportConfig, export
from replank_export.int8.dynamic import DynamicInt8
from replank_export.quantize import quantize

TEXTS = ["a good film", "the very dull plot of a film with music"]


def pooled_graph(graph: Path) -> None:
    """Two outputs, as Optimum's export of a sentence-transformers model has: tokens, and their mean."""
    model = onnx.load(str(graph))
    (states,) = [output for output in model.graph.output if output.name == "last_hidden_state"]
    states.name = "token_embeddings"
    for node in model.graph.node:
        node.output[:] = ["token_embeddings" if name == "last_hidden_state" else name for name in node.output]
        node.input[:] = ["token_embeddings" if name == "last_hidden_state" else name for name in node.input]
    model.graph.initializer.append(helper.make_tensor("axis", TensorProto.INT64, [1], [1]))
    model.graph.initializer.append(helper.make_tensor("last", TensorProto.INT64, [1], [2]))
    model.graph.node.extend(
        [
            helper.make_node("Cast", ["attention_mask"], ["mask_float"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask_float", "last"], ["mask_column"]),
            helper.make_node("Mul", ["token_embeddings", "mask_column"], ["masked"]),
            helper.make_node("ReduceSum", ["masked", "axis"], ["sum"], keepdims=0),
            helper.make_node("ReduceSum", ["mask_float", "axis"], ["count"], keepdims=1),
            helper.make_node("Div", ["sum", "count"], ["sentence_embedding"]),
        ]
    )
    model.graph.output.append(helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["b", 32]))
    onnx.save(model, str(graph))


@pytest.fixture
def features(encoder: Path, tmp_path: Path) -> Path:
    """A plain folder with a graph of hidden states, whose configuration names a bare encoder."""
    export(open_source(encoder), tmp_path / "features", ExportConfig(features=True))
    (tmp_path / "features" / "replank.json").unlink()
    change(tmp_path / "features" / "config.json", architectures=["BertModel"])
    return tmp_path / "features"


def test_a_graph_of_hidden_states_gives_vectors(features: Path, encoder: Path, tmp_path: Path) -> None:
    source = open_source(features)
    assert source.task.kind.name == "feature-extraction"
    vectors = load_model(source).embed(TEXTS)
    assert vectors.shape == (2, 32)
    quantize(source, tmp_path / "int8", DynamicInt8(allow_slower=True))
    quantized = load_model(open_source(tmp_path / "int8")).embed(TEXTS)
    assert (vectors * quantized).sum(axis=1).min() > 0.99


def test_a_graph_that_pools_by_itself(features: Path, tmp_path: Path) -> None:
    truth = load_model(open_source(features)).embed(TEXTS, normalize=False)
    pooled_graph(features / "model.onnx")
    source = open_source(features)
    assert source.task.kind.name == "sentence-embedding"
    np.testing.assert_allclose(load_model(source).embed(TEXTS), truth, atol=1e-5)
    unit = load_model(source).embed(TEXTS, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    quantize(source, tmp_path / "int8", DynamicInt8(allow_slower=True))
    assert load_model(open_source(tmp_path / "int8")).embed(TEXTS).shape == (2, 32)


def test_logits_of_a_configuration_that_names_no_head(plain_graph: Path, onnx_artifact: Path) -> None:
    change(plain_graph / "config.json", architectures=["BertModel"])
    truth = load_model(open_source(onnx_artifact)).predict(TEXTS)
    assert load_model(open_source(plain_graph)).predict(TEXTS) == truth


@pytest.mark.parametrize("config", [{}, {"architectures": ["BertForQuestionAnswering"]}])
def test_answers_that_nothing_reads(plain_graph: Path, config: dict[str, Any]) -> None:
    change(plain_graph / "config.json", **config)
    model = onnx.load(str(plain_graph / "model.onnx"))
    old = model.graph.output[0].name
    model.graph.output[0].name = "start_logits"
    for node in model.graph.node:
        node.output[:] = ["start_logits" if name == old else name for name in node.output]
    onnx.save(model, str(plain_graph / "model.onnx"))
    with pytest.raises(ModelError, match="gives start_logits; expected logits, sentence_embedding or last_"):
        open_source(plain_graph)


def test_a_graph_of_another_rank_than_the_configurations_head(plain_graph: Path) -> None:
    change(plain_graph / "config.json", architectures=["BertForTokenClassification"])
    with pytest.raises(ModelError, match=r"gives logits with 2 dimensions; token-classification needs \(batch, "):
        open_source(plain_graph)


def test_logits_of_a_head_that_is_not_known(plain_graph: Path) -> None:
    change(plain_graph / "config.json", architectures=["BertForMultipleChoice"])
    with pytest.raises(ModelError, match="is a BertForMultipleChoice, whose answers replank does not give"):
        open_source(plain_graph)


def test_a_graph_that_is_a_pointer_of_git_lfs(plain_graph: Path) -> None:
    (plain_graph / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ModelError, match=r"model\.onnx is a pointer of Git LFS"):
        open_source(plain_graph)
