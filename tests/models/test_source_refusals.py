"""What is turned away at the one door for models, and with which words."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from plain_folders import configure
from replank.models.encoders import ENCODERS
from replank.models.source import open_source
from replank.system.errors import ArtifactError, ModelError


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no model folder: it has no config\.json; it holds nothing") as refusal:
        open_source(tmp_path)
    assert refusal.value.hint == "expected config.json, tokenizer.json and model.safetensors (or model.onnx)"


def test_a_folder_without_configuration_tells_what_it_holds(encoder_copy: Path) -> None:
    (encoder_copy / "config.json").unlink()
    with pytest.raises(ModelError, match=r"it holds model\.safetensors, tokenizer\.json, tokenizer_config\.json"):
        open_source(encoder_copy)


def test_a_folder_without_weights(encoder_copy: Path) -> None:
    (encoder_copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no weights: expected model\.safetensors or model\.onnx"):
        open_source(encoder_copy)


def test_a_pickle_is_not_loaded(encoder_copy: Path) -> None:
    (encoder_copy / "model.safetensors").rename(encoder_copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"as a pickle \(pytorch_model\.bin\), which replank does not load") as refusal:
        open_source(encoder_copy)
    assert "save_pretrained" in str(refusal.value.hint)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "albert"}, "'albert', which replank cannot handle: its layers are one layer"),
        ({"model_type": "neobert"}, "'neobert', which replank cannot handle: its code comes with the model"),
        ({"model_type": "qwen3"}, "'qwen3', which replank cannot handle: it is a language model"),
        ({"model_type": "mine", "auto_map": {"AutoModel": "m.M"}}, "'mine', and its code comes with the model"),
        ({"model_type": "deberta-v2", "conv_kernel_size": 3}, "sets conv_kernel_size; only encoders whose layers form"),
        ({"model_type": "gpt2"}, "is a model of type 'gpt2'"),
        ({"model_type": "frobnicate"}, "is a model of type 'frobnicate'"),
        ({"model_type": None}, "is a model of type None"),
        ({"is_decoder": True}, "is configured as a decoder"),
        ({"is_encoder_decoder": True}, "is configured as a decoder"),
    ],
)
def test_other_architectures(encoder_copy: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as refusal:
        open_source(configure(encoder_copy, **config))
    supported = f"replank handles encoders of these types: {', '.join(ENCODERS)}"
    other = {"deberta-v2": "models of type 'deberta-v2' without it are handled"}
    assert refusal.value.hint == other.get(str(config.get("model_type")), supported)


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": "four"},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": [4]},
        {"max_position_embeddings": "x"},
        {"max_position_embeddings": 0},
    ],
)
def test_a_configuration_that_makes_no_sense(encoder_copy: Path, config: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=rf"{encoder_copy}/config\.json is damaged: no sensible num_hidden_layers"):
        open_source(configure(encoder_copy, **config))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"id2label": {"a": "x"}}, "config.json says id2label {'a': 'x'}; expected a name for each output's index"),
        ({"id2label": ["x", "y"]}, "config.json says id2label ['x', 'y']; expected a name for each"),
        ({"id2label": 3}, "config.json says id2label 3; expected a name for each output's index"),
        ({"id2label": {}}, "id2label of config.json names no output; expected each output from 0 on"),
        ({"id2label": {"1": "x", "2": "y"}}, "id2label of config.json names 1, 2; expected each output from 0 on"),
        ({"id2label": {"0": "x", "1": "x"}}, "id2label of config.json names two outputs 'x'"),
        ({"id2label": {"0": "x", "1": "y", "2": "z"}}, "config.json names 3 labels, the weights have 2"),
        ({"num_labels": 3}, "config.json describes 3 labels, the weights have 2"),
        ({"num_labels": "two"}, "config.json says num_labels 'two'; expected a number of labels"),
        ({"num_labels": 0}, "config.json says num_labels 0; expected a number of labels"),
        ({"problem_type": "regression"}, "is a regression to 2 numbers: config.json says problem_type 'regression'"),
        ({"problem_type": "ranking"}, "of a kind that replank does not know: config.json says problem_type 'ranking'"),
        ({"vocab_size": 99}, "config.json says vocab_size 99, the weights have 81 rows"),
        ({"max_position_embeddings": 128}, "config.json says max_position_embeddings 128, the weights have 64 rows"),
        ({"type_vocab_size": 1}, "config.json says type_vocab_size 1, the weights have 2 rows"),
    ],
)
@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_configuration_that_contradicts_itself_or_the_weights(
    predecessor: Path, onnx_artifact: Path, tmp_path: Path, kind: str, config: dict[str, Any], message: str
) -> None:
    folder = shutil.copytree({"torch": predecessor, "onnx": onnx_artifact}[kind], tmp_path / "plain")
    (folder / "replank.json").unlink()
    configure(folder, "id2label", "label2id", "problem_type", **config)
    holder = "weights have" if kind == "torch" or "rows" in message else "graph gives"
    with pytest.raises(ModelError, match=re.escape(message.replace("weights have", holder))):
        open_source(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model_type": "b\xe9rt"}'])
def test_a_broken_configuration(encoder_copy: Path, content: bytes) -> None:
    (encoder_copy / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=rf"{encoder_copy}/config\.json"):
        open_source(encoder_copy)


def test_a_damaged_artifact_is_not_a_plain_model(successor: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(successor, tmp_path / "model")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is damaged"):
        open_source(folder)
