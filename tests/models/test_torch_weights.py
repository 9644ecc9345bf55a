"""Weights of a torch folder that are missing, in shards, cut off, or of another kind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import transformers

from model_folder import change
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import ModelError
from replank.tasks.kinds import KINDS
from replank_export.convert import ExportConfig, export
from tiny import tiny_settings, write_tokenizer

TEXTS = ["a good film", "the very dull plot of a film with music"]


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
