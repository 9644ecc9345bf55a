"""The one door for models: what may enter, and what is turned away with which words."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from replank.models import source as source_module
from replank.models.encoders import ENCODERS, encoder_of
from replank.models.source import open_source, require_kind
from replank.system.errors import ArtifactError, ModelError
from replank.system.json_files import read_json
from replank.system.typed_json import json_values
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from replank.text.padding import INPUT_NAMES
from tiny import tiny_settings, write_tokenizer


@pytest.fixture
def plain(encoder: Path, tmp_path: Path) -> Path:
    """A plain model folder to damage."""
    return shutil.copytree(encoder, tmp_path / "plain")


def configure(folder: Path, *without: str, **changes: Any) -> Path:
    """Change and drop entries of ``config.json``."""
    kept = {key: value for key, value in read_json(folder / "config.json").items() if key not in without}
    (folder / "config.json").write_text(json.dumps(kept | changes), encoding="utf-8")
    return folder


def with_head(folder: Path, head: str, outputs: int) -> Path:
    """A model with a head, as transformers saves it."""
    torch.manual_seed(0)
    model_class = getattr(transformers, f"BertFor{head}")
    config = transformers.BertConfig(**tiny_settings(num_hidden_layers=1, num_labels=outputs))
    model_class(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


# What may enter


def test_a_plain_folder(encoder: Path) -> None:
    source = open_source(encoder)
    assert (source.kind, source.precision, source.layers, source.artifact) == ("torch", "fp32", 4, None)
    assert source.model_file == encoder / "model.safetensors"
    assert not source.is_fine_tuned
    assert source.task == Task(
        encoder.name, KINDS["classification"], ("0", "1"), (), "label", ("accuracy", "macro_f1"), 64
    )


def test_an_artifact(int8_artifact: Path) -> None:
    source = open_source(str(int8_artifact))
    assert (source.kind, source.precision, source.layers) == ("onnx", "int8", 2)
    assert source.artifact is not None
    assert source.task == source.artifact.manifest.task
    assert source.is_fine_tuned
    assert source.digest == source.artifact.manifest.digest
    assert source.as_parent().manifest == source.artifact.manifest


def test_an_artifact_without_its_manifest_is_a_plain_model(predecessor: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(predecessor, tmp_path / "model")
    (folder / "replank.json").unlink()
    source = open_source(folder)
    assert source.artifact is None
    assert source.is_fine_tuned
    assert (source.task.labels, source.task.columns) == (("negative", "positive"), ())


@pytest.mark.parametrize("way", ["link", "spaces and ünïcode 🚢", "dots", "relative"])
def test_any_way_to_a_folder(plain: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.chdir(plain.parent)
    names: dict[str, str | Path] = {
        "link": plain.with_name("link"),
        "spaces and ünïcode 🚢": plain.with_name(way),
        "dots": plain / ".." / "plain",
        "relative": "./plain",
    }
    if not Path(names[way]).exists():
        Path(names[way]).symlink_to(plain)
    source = open_source(names[way])
    assert source.layers == 4
    assert source.short_name == "plain"
    assert str(plain.parent) not in json.dumps(json_values(source.as_parent()))


def test_the_digest_of_a_plain_folder_is_that_of_its_weights(plain: Path, encoder: Path) -> None:
    assert open_source(plain).digest == open_source(encoder).digest
    weights = bytearray((plain / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (plain / "model.safetensors").write_bytes(weights)
    assert open_source(plain).digest != open_source(encoder).digest


@pytest.mark.parametrize("model_type", list(ENCODERS))
def test_every_known_architecture(plain: Path, model_type: str) -> None:
    source = open_source(configure(plain, model_type=model_type))
    assert source.encoder is ENCODERS[model_type]
    # RoBERTa's family counts positions from after the padding's id, 0 here; MPNet from 2, whatever its padding.
    limit = {0: 64, None: 63, 2: 62}[source.encoder.first_position]
    assert source.position_limit == limit
    assert source.text_encoder(source.task).max_length == limit


def test_distilberts_own_keys(plain: Path) -> None:
    own = {"n_layers": 6, "n_heads": 2, "dim": 8, "activation": "relu"}
    usual = ("num_hidden_layers", "num_attention_heads", "hidden_size", "hidden_act")
    source = open_source(configure(plain, *usual, model_type="distilbert", **own))
    encoder, config = source.encoder, source.config
    found = (source.layers, encoder.heads(config), encoder.hidden_size(config), encoder.activation(config))
    assert found == tuple(own.values())


@pytest.mark.parametrize(
    ("config", "kind", "labels"),
    [
        ({"id2label": {"1": "yes", "0": "no"}}, "classification", ("no", "yes")),
        ({"id2label": {str(i): f"LABEL_{i}" for i in range(11)}}, "classification", tuple(map(str, range(11)))),
        ({"id2label": {"0": "LABEL_0", "1": "good"}}, "classification", ("LABEL_0", "good")),
        ({"id2label": {"0": "LABEL_0"}}, "probability", ()),
        ({"num_labels": 1}, "probability", ()),
        ({"id2label": {"0": "a"}, "problem_type": "multi_label_classification"}, "probability", ()),
        ({"id2label": {"0": "a"}, "problem_type": "regression"}, "regression", ()),
        ({"id2label": None}, "classification", ("0", "1")),
        ({"num_labels": 3}, "classification", ("0", "1", "2")),
        ({"num_labels": 5, "id2label": {"0": "no", "1": "yes"}}, "classification", ("no", "yes")),
    ],
)
def test_the_task_of_a_plain_folder(tmp_path: Path, config: dict[str, Any], kind: str, labels: tuple[str, ...]) -> None:
    outputs = len(labels) or 1
    plain = with_head(tmp_path / "plain", "SequenceClassification", outputs)
    task = open_source(configure(plain, "id2label", "label2id", **config)).task
    assert (task.kind.name, task.labels) == (kind, labels)


def test_the_text_encoder_cuts_at_the_nearer_limit(encoder: Path) -> None:
    source = open_source(encoder)
    task = Task("t", KINDS["classification"], ("a", "b"), ("text",), "label", ("accuracy",), 10)
    assert source.text_encoder(task).max_length == 10
    assert source.text_encoder(source.task).max_length == 64
    assert source.text_encoder(task).input_names == INPUT_NAMES


# What is turned away


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no model folder: it has no config\.json; it holds nothing") as refusal:
        open_source(tmp_path)
    assert refusal.value.hint == "expected config.json, tokenizer.json and model.safetensors (or model.onnx)"


def test_a_folder_without_configuration_tells_what_it_holds(plain: Path) -> None:
    (plain / "config.json").unlink()
    with pytest.raises(ModelError, match=r"it holds model\.safetensors, tokenizer\.json, tokenizer_config\.json"):
        open_source(plain)


def test_a_folder_without_weights(plain: Path) -> None:
    (plain / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no weights: expected model\.safetensors or model\.onnx"):
        open_source(plain)


def test_a_pickle_is_not_loaded(plain: Path) -> None:
    (plain / "model.safetensors").rename(plain / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"as a pickle \(pytorch_model\.bin\), which replank does not load") as refusal:
        open_source(plain)
    assert "save_pretrained" in str(refusal.value.hint)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "albert"}, "'albert', which replank cannot handle: its layers are one layer"),
        ({"model_type": "modernbert"}, "'modernbert', which replank cannot handle: what kind of attention"),
        ({"model_type": "deberta-v2", "conv_kernel_size": 3}, "sets conv_kernel_size; only encoders whose layers form"),
        ({"model_type": "gpt2"}, "is a model of type 'gpt2'"),
        ({"model_type": "frobnicate"}, "is a model of type 'frobnicate'"),
        ({"model_type": None}, "is a model of type None"),
        ({"is_decoder": True}, "is configured as a decoder"),
        ({"is_encoder_decoder": True}, "is configured as a decoder"),
    ],
)
def test_other_architectures(plain: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as refusal:
        open_source(configure(plain, **config))
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
def test_a_configuration_that_makes_no_sense(plain: Path, config: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=rf"{plain}/config\.json is damaged: no sensible num_hidden_layers"):
        open_source(configure(plain, **config))


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
        (
            {"problem_type": "multi_label_classification"},
            "is a multi-label model, whose labels do not exclude each other",
        ),
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
def test_a_broken_configuration(plain: Path, content: bytes) -> None:
    (plain / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=rf"{plain}/config\.json"):
        open_source(plain)


def test_a_damaged_artifact_is_not_a_plain_model(successor: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(successor, tmp_path / "model")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is damaged"):
        open_source(folder)


# Names on the hub


@pytest.mark.parametrize("name", ["bert-base-uncased", "owner/name", "a.b_c/d-e.f", "x"])
def test_what_looks_like_a_name_on_the_hub(encoder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    asked: list[str] = []

    def fetch(wanted: str) -> Path:
        asked.append(wanted)
        return encoder

    monkeypatch.setattr(source_module, "fetch_model", fetch)
    source = open_source(name)
    assert asked == [name]
    assert (source.name, source.folder, source.short_name) == (name, encoder, name)


@pytest.mark.parametrize("name", ["./x", "../x", "/x", "a/b/c", "x/", "-x", ".x", "a b", "ü", "a\nb", "~/x", "x/.."])
def test_what_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(source_module, "fetch_model", lambda wanted: pytest.fail(f"asked the hub for {wanted}"))
    with pytest.raises(ModelError, match="there is no folder") as refusal:
        open_source(name)
    assert refusal.value.hint == "expected a model folder or the name of a hub model"


def test_a_local_folder_wins_over_the_hub(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plain.parent)
    monkeypatch.setattr(source_module, "fetch_model", lambda wanted: pytest.fail(f"asked the hub for {wanted}"))
    assert open_source("plain").folder == Path("plain")


def test_a_local_file_is_no_model(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plain.parent)
    with pytest.raises(ModelError, match=r"there is no folder plain/config\.json"):
        open_source("plain/config.json")


# Kinds


def test_a_stage_that_needs_the_other_kind_says_the_way(encoder: Path, onnx_artifact: Path) -> None:
    require_kind(open_source(encoder), "torch", "export")
    with pytest.raises(ModelError, match="is a model of kind torch; quantize needs one of kind onnx") as refusal:
        require_kind(open_source(encoder), "onnx", "quantize")
    assert refusal.value.hint == "replank export MODEL OUT makes an ONNX model of a torch model"
    with pytest.raises(ModelError, match="is a model of kind onnx; compress needs one of kind torch"):
        require_kind(open_source(onnx_artifact), "torch", "compress")


def test_an_encoders_facts_are_found_by_type() -> None:
    assert encoder_of({"model_type": "distilbert"}, "x").stack == "transformer.layer"
    assert ENCODERS["bert"].position_limit({}) == 512
    assert ENCODERS["roberta"].position_limit({"max_position_embeddings": 514}) == 512
    assert ENCODERS["roberta"].position_limit({"max_position_embeddings": 514, "pad_token_id": 0}) == 513
