"""The one door for models: what may enter, and by which names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from plain_folders import configure, with_head
from replank.models import source as source_module
from replank.models.encoders import ENCODERS, encoder_of
from replank.models.source import open_source, require_kind
from replank.system.errors import ModelError
from replank.system.typed_json import json_values
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from replank.text.padding import INPUT_NAMES

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
def test_any_way_to_a_folder(encoder_copy: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.chdir(encoder_copy.parent)
    names: dict[str, str | Path] = {
        "link": encoder_copy.with_name("link"),
        "spaces and ünïcode 🚢": encoder_copy.with_name(way),
        "dots": encoder_copy / ".." / "plain",
        "relative": "./plain",
    }
    if not Path(names[way]).exists():
        Path(names[way]).symlink_to(encoder_copy)
    source = open_source(names[way])
    assert source.layers == 4
    assert source.short_name == "plain"
    assert str(encoder_copy.parent) not in json.dumps(json_values(source.as_parent()))


def test_the_digest_of_a_plain_folder_is_that_of_its_weights(encoder_copy: Path, encoder: Path) -> None:
    assert open_source(encoder_copy).digest == open_source(encoder).digest
    weights = bytearray((encoder_copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (encoder_copy / "model.safetensors").write_bytes(weights)
    assert open_source(encoder_copy).digest != open_source(encoder).digest


@pytest.mark.parametrize("model_type", list(ENCODERS))
def test_every_known_architecture(encoder_copy: Path, model_type: str) -> None:
    source = open_source(configure(encoder_copy, model_type=model_type))
    assert source.encoder is ENCODERS[model_type]
    # RoBERTa's family counts positions from after the padding's id, 0 here; MPNet from 2, whatever its padding.
    limit = {0: 64, None: 63, 2: 62}[source.encoder.first_position]
    assert source.position_limit == limit
    assert source.text_encoder(source.task).max_length == limit


def test_distilberts_own_keys(encoder_copy: Path) -> None:
    own = {"n_layers": 6, "n_heads": 2, "dim": 8, "activation": "relu"}
    usual = ("num_hidden_layers", "num_attention_heads", "hidden_size", "hidden_act")
    source = open_source(configure(encoder_copy, *usual, model_type="distilbert", **own))
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
        ({"id2label": {"0": "a", "1": "b"}, "problem_type": "multi_label_classification"}, "multi-label", ("a", "b")),
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


# Names on the hub


@pytest.mark.parametrize("name", ["bert-base-uncased", "owner/name", "a.b_c/d-e.f", "x"])
def test_what_looks_like_a_name_on_the_hub(encoder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    asked: list[str] = []

    def fetch(wanted: str, file: str | None) -> Path:
        asked.append(wanted)
        return encoder

    monkeypatch.setattr(source_module, "fetch_model", fetch)
    source = open_source(name)
    assert asked == [name]
    assert (source.name, source.folder, source.short_name) == (name, encoder, name)


@pytest.mark.parametrize("name", ["./x", "../x", "/x", "a/b/c", "x/", "-x", ".x", "a b", "ü", "a\nb", "~/x", "x/.."])
def test_what_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(source_module, "fetch_model", lambda wanted, file: pytest.fail(f"asked the hub for {wanted}"))
    with pytest.raises(ModelError, match="there is no folder") as refusal:
        open_source(name)
    assert refusal.value.hint == "expected a model folder or the name of a hub model"


def test_a_local_folder_wins_over_the_hub(encoder_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(encoder_copy.parent)
    monkeypatch.setattr(source_module, "fetch_model", lambda wanted, file: pytest.fail(f"asked the hub for {wanted}"))
    assert open_source("plain").folder == Path("plain")


def test_a_local_file_is_no_model(encoder_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(encoder_copy.parent)
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


def test_it_is_shown_in_a_line(predecessor: Path) -> None:
    assert repr(open_source(predecessor)) == f"Source('{predecessor}', torch, fp32, classification)"
