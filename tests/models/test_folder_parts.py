"""Parts of a folder that do not fit each other, lack something, or say less than others do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
import transformers
from onnx import TensorProto, helper
from tokenizers import AddedToken, Tokenizer

from model_folder import change
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import ModelError
from replank.tasks.kinds import KINDS
from replank_export.convert import ExportConfig, export
from replank_export.int8.dynamic import DynamicInt8
from replank_export.quantize import quantize
from tiny import VOCABULARY, tiny_settings, write_tokenizer

TEXTS = ["a good film", "the very dull plot of a film with music"]


@pytest.fixture
def plain(predecessor: Path, tmp_path: Path) -> Path:
    """A classifier as a plain folder."""
    folder = shutil.copytree(predecessor, tmp_path / "plain")
    (folder / "replank.json").unlink()
    return folder


@pytest.fixture
def plain_graph(onnx_artifact: Path, tmp_path: Path) -> Path:
    """Its graph as a plain folder."""
    folder = shutil.copytree(onnx_artifact, tmp_path / "graph")
    (folder / "replank.json").unlink()
    return folder


# Tokenizer and embeddings


def add_tokens(folder: Path, *tokens: str) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(token) for token in tokens])
    tokenizer.save(str(folder / "tokenizer.json"))


def test_a_tokenizer_with_more_tokens_than_the_embeddings(plain: Path, plain_graph: Path) -> None:
    rows = len(VOCABULARY)
    for folder in (plain, plain_graph):
        add_tokens(folder, "<user>", "<url>")
        message = rf"the tokenizer has token ids up to {rows}, the embeddings have {rows} rows"
        with pytest.raises(ModelError, match=message) as refusal:
            open_source(folder)
        assert "resize_token_embeddings" in str(refusal.value.hint)


def test_embeddings_with_more_rows_than_tokens_are_usual(tmp_path: Path) -> None:
    config = transformers.BertConfig(**tiny_settings(vocab_size=len(VOCABULARY) + 7, num_hidden_layers=1))
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    assert len(load_model(open_source(tmp_path)).predict(TEXTS)) == 2


# Weights that are missing


@pytest.mark.parametrize("missing", ["LayerNorm", "word_embeddings", "layer.3.attention.self.query"])
def test_a_bare_encoder_needs_all_its_weights_but_the_poolers(encoder: Path, tmp_path: Path, missing: str) -> None:
    folder = shutil.copytree(encoder, tmp_path / "plain")
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if missing not in name}
    safetensors.torch.save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=rf"lack [\w.]*{missing}"):
        export(open_source(folder), tmp_path / "onnx", ExportConfig(features=True))
    without_pooler = {name: tensor for name, tensor in weights.items() if "pooler" not in name}
    safetensors.torch.save_file(without_pooler, folder / "model.safetensors", {"format": "pt"})
    load_torch_model(open_source(folder), KINDS["feature-extraction"])


def test_a_bare_encoder_needs_what_stands_beside_its_stack(tmp_path: Path) -> None:
    config = transformers.ElectraConfig(**tiny_settings(num_hidden_layers=1, embedding_size=16))
    transformers.ElectraModel(config).save_pretrained(tmp_path / "plain")
    write_tokenizer(tmp_path / "plain")
    weights = safetensors.torch.load_file(tmp_path / "plain" / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "embeddings_project" not in name}
    assert len(kept) == len(weights) - 2
    safetensors.torch.save_file(kept, tmp_path / "plain" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lack embeddings_project\.bias and 1 others"):
        load_torch_model(open_source(tmp_path / "plain"), KINDS["feature-extraction"])


@pytest.mark.parametrize("prefix", ["module.", "model."])
def test_weights_under_the_name_of_a_training_framework(plain: Path, prefix: str) -> None:
    weights = safetensors.torch.load_file(plain / "model.safetensors")
    renamed = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
    safetensors.torch.save_file(renamed, plain / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="lack bert") as refusal:
        load_torch_model(open_source(plain))
    assert f"the names of the weights begin with {prefix!r}" in str(refusal.value.hint)


def test_a_head_that_the_configuration_does_not_name(plain: Path) -> None:
    change(plain / "config.json", architectures=None)
    with pytest.raises(ModelError, match="has no list of architectures, and the weights have a head of 2 outputs"):
        open_source(plain)


def test_a_table_of_segments_without_rows(tmp_path: Path) -> None:
    config = transformers.BertConfig(**tiny_settings(num_hidden_layers=1, type_vocab_size=0))
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    with pytest.raises(ModelError, match="gives the texts of a pair 1 segment types, the model has 0"):
        open_source(tmp_path)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_without_room_for_a_text(plain: Path, limit: int) -> None:
    change(plain / "tokenizer_config.json", model_max_length=limit)
    with pytest.raises(ModelError, match=rf"model_max_length of tokenizer_config\.json is {limit}; expected more than"):
        open_source(plain)


# Weights in shards


def test_weights_in_shards_are_one_model(plain: Path, tmp_path: Path) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(plain)
    folder = tmp_path / "shards"
    model.save_pretrained(folder, max_shard_size="40KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(plain / name, folder / name)
    shards = sorted(path.name for path in folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    source = open_source(folder)
    assert [file.name for file in source.weights.files] == ["model.safetensors.index.json", *shards]
    truth = load_model(open_source(plain)).logits(TEXTS)
    np.testing.assert_array_equal(load_model(source).logits(TEXTS), truth)
    export(source, tmp_path / "onnx", ExportConfig())
    np.testing.assert_allclose(load_model(open_source(tmp_path / "onnx")).logits(TEXTS), truth, atol=1e-5)
    before = source.digest
    content = bytearray((folder / shards[-1]).read_bytes())
    content[-1] ^= 1
    (folder / shards[-1]).write_bytes(content)
    assert open_source(folder).digest != before
    (folder / shards[0]).unlink()
    with pytest.raises(
        ModelError, match=rf"has no {shards[0]}, which holds weights of model\.safetensors\.index\.json"
    ):
        open_source(folder)


def test_shards_elsewhere_are_not_read(plain: Path) -> None:
    (plain / "model.safetensors").rename(plain.parent / "model.safetensors")
    index = {"weight_map": {"bert.embeddings.word_embeddings.weight": "../model.safetensors"}}
    (plain / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelError, match=r"keeps weights in '\.\./model\.safetensors'; expected a file beside it"):
        open_source(plain)


# What a folder lacks


def test_a_pointer_of_git_lfs(plain: Path) -> None:
    (plain / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ModelError, match="is a pointer of Git LFS, not the file that it points to") as refusal:
        open_source(plain)
    assert refusal.value.hint == "fetch it: git lfs pull"


@pytest.mark.parametrize("bytes_left", [0, 5, 100, -1])
def test_weights_that_are_cut_off(plain: Path, bytes_left: int) -> None:
    file = plain / "model.safetensors"
    file.write_bytes(file.read_bytes()[:bytes_left])
    with pytest.raises(ModelError, match=r"model\.safetensors is cut off after \d+"):
        open_source(plain)


@pytest.mark.parametrize("content", [b"\xff" * 50, b"\x02\0\0\0\0\0\0\0[]", b"\x08\0\0\0\0\0\0\0" + b'{"a":{}}'])
def test_weights_that_are_no_weights(plain: Path, content: bytes) -> None:
    (plain / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged: it has no safetensors header"):
        open_source(plain)


def test_an_adapter_is_no_model(plain: Path) -> None:
    (plain / "model.safetensors").rename(plain / "adapter_model.safetensors")
    (plain / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    (plain / "config.json").unlink()
    with pytest.raises(ModelError, match=r"is an adapter \(adapter_config\.json\) for a model") as refusal:
        open_source(plain)
    assert "merge_and_unload" in str(refusal.value.hint)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("pytorch_model.bin", "a pickle"),
        ("pytorch_model-00001-of-00002.bin", "a pickle"),
        ("tf_model.h5", "TensorFlow's"),
        ("flax_model.msgpack", "Flax's"),
    ],
)
def test_weights_of_other_kinds(plain: Path, name: str, what: str) -> None:
    (plain / "model.safetensors").rename(plain / name)
    with pytest.raises(ModelError, match=rf"holds its weights as {what} \({name}\), which replank does not load") as it:
        open_source(plain)
    assert "save_pretrained" in str(it.value.hint)


# Graphs of other exporters


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


# One model through several doors


def test_one_model_is_described_alike_through_every_door(
    predecessor: Path, plain: Path, plain_graph: Path, onnx_artifact: Path
) -> None:
    for artifact, folder in ((predecessor, plain), (onnx_artifact, plain_graph)):
        one, other = open_source(artifact), open_source(folder)
        for source in (one, other):
            assert (source.task.kind.name, source.task.labels) == ("classification", ("negative", "positive"))
            assert source.position_limit == 64
        assert (one.layers, one.encoder) == (other.layers, other.encoder)
        assert load_model(one).logits(TEXTS).tolist() == load_model(other).logits(TEXTS).tolist()


def test_scores_of_a_head_with_one_output_are_learnt_as_probabilities() -> None:
    kind = KINDS["probability"]
    student = torch.zeros((3, 1), requires_grad=True)
    teacher = torch.tensor([[2.0], [-1.0], [0.0]])
    kind.distillation_loss(student, teacher, torch.zeros(3), 1.0).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    np.testing.assert_allclose(student.grad.flatten(), (0.5 - teacher.sigmoid().flatten()) / 3, atol=1e-6)


@pytest.mark.parametrize(("limit", "length"), [(20, 20), (64, 64), (512, 64), (int(1e30), 64)])
def test_the_nearer_of_the_models_limit_and_the_tokenizers(plain: Path, limit: int, length: int) -> None:
    change(plain / "tokenizer_config.json", model_max_length=limit)
    source = open_source(plain)
    assert source.task.max_length == length
    (tokens,) = source.text_encoder(source.task).tokenize(["a good film " * 40])
    truth = transformers.AutoTokenizer.from_pretrained(plain)("a good film " * 40, truncation=True, max_length=length)
    assert tokens.ids == truth["input_ids"]


def test_one_segment_type_where_the_tokenizer_makes_two(tmp_path: Path) -> None:
    settings = tiny_settings(num_hidden_layers=1, type_vocab_size=1, max_position_embeddings=66, pad_token_id=0)
    transformers.RobertaForSequenceClassification(transformers.RobertaConfig(**settings)).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    names = ["input_ids", "token_type_ids", "attention_mask"]
    change(tmp_path / "tokenizer_config.json", model_input_names=names)
    with pytest.raises(ModelError, match="gives the texts of a pair 2 segment types, the model has 1") as refusal:
        open_source(tmp_path)
    assert "take token_type_ids out of model_input_names" in str(refusal.value.hint)
    change(tmp_path / "tokenizer_config.json", model_input_names=[name for name in names if "type" not in name])
    assert len(load_model(open_source(tmp_path)).predict([("a good film", "the plot")])) == 1
