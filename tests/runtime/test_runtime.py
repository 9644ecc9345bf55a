"""Running models: the same answers from both engines, where they were asked for, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file

from replank.models.source import Source, open_source
from replank.runtime.load import load_model
from replank.runtime.providers import require_onnxruntime
from replank.runtime.session import open_session
from replank.runtime.torch_model import load_torch_model, require_head
from replank.system.errors import MissingExtraError, ModelError, ProviderError
from replank.system.json_files import read_json
from replank.tasks.kinds import KINDS
from replank.text.padding import Batch
from small_models import save_model
from tiny import sentences

TEXTS = [text for text, _ in sentences(40, seed=7)] + ["", "good " * 200, "🚢", "\0", "\ud83d bad"]
Change = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


def changed(folder: Path, target: Path, change: Change | None = None, **config: Any) -> Source:
    """A plain copy of a torch model, with other weights or another configuration."""
    shutil.copytree(folder, target)
    (target / "replank.json").unlink(missing_ok=True)
    if change:
        save_file(change(load_file(target / "model.safetensors")), target / "model.safetensors", {"format": "pt"})
    values = read_json(target / "config.json") | config
    (target / "config.json").write_text(json.dumps(values), encoding="utf-8")
    return open_source(target)


def without(*parts: str) -> Change:
    return lambda weights: {key: value for key, value in weights.items() if not any(part in key for part in parts)}


# Answers


def test_torch_and_onnx_give_the_same_answers(successor: Path, onnx_artifact: Path) -> None:
    ours, theirs = (load_model(open_source(path)).logits(TEXTS) for path in (successor, onnx_artifact))
    assert ours.shape == (len(TEXTS), 2)
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_allclose(theirs, ours, atol=1e-5, rtol=0)
    assert np.ptp(ours[:, 0]) > 0.1, "answers that do not differ would prove nothing"


@pytest.mark.parametrize("kind", ["successor", "onnx", "int8"])
def test_logits_keep_the_order_of_the_texts(int8_artifact: Path, kind: str) -> None:
    """Texts of like length run together; INT8 scales activations by the batch, so it differs a little."""
    model = load_model(open_source(int8_artifact.with_name(kind)))
    together = model.logits(TEXTS, batch_size=8)
    alone = np.concatenate([model.logits([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=0.05 if kind == "int8" else 1e-5, rtol=0)
    assert np.ptp(alone[:, 0]) > 0.2


def test_pairs_keep_their_order(pair_onnx_artifact: Path) -> None:
    model = load_model(open_source(pair_onnx_artifact))
    first, second = TEXTS, TEXTS[::-1]
    together = model.logits(first, second, batch_size=8)
    alone = np.concatenate([model.logits([a], [b]) for a, b in zip(first, second, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=0)
    assert np.abs(together - model.logits(second, first)).max() > 1e-4, "the order within a pair must count"


def test_progress_counts_every_text(onnx_artifact: Path) -> None:
    counted: list[int] = []
    load_model(open_source(onnx_artifact)).logits(TEXTS, batch_size=16, progress=counted.append)
    assert counted == [16, 16, len(TEXTS) - 32]


def test_no_texts_have_no_logits(onnx_artifact: Path) -> None:
    assert load_model(open_source(onnx_artifact)).logits([]).shape == (0, 2)


def test_a_graph_with_segments_gets_zeros_where_the_batch_has_none(onnx_artifact: Path) -> None:
    predictor = load_model(open_source(onnx_artifact)).predictor
    ids = np.array([[2, 7, 9, 3]])
    without_segments = predictor(Batch(ids, np.ones_like(ids)))
    assert np.array_equal(without_segments, predictor(Batch(ids, np.ones_like(ids), np.zeros_like(ids))))
    assert not np.array_equal(without_segments, predictor(Batch(ids, np.ones_like(ids), np.ones_like(ids))))


def test_a_model_is_in_evaluation_mode_and_fp32(predecessor: Path) -> None:
    model = load_model(open_source(predecessor))
    assert np.array_equal(model.logits(TEXTS), model.logits(TEXTS))
    assert {value.dtype for value in load_torch_model(open_source(predecessor)).state_dict().values()} == {
        torch.float32
    }


def test_half_precision_weights_are_loaded_as_fp32(predecessor: Path, tmp_path: Path) -> None:
    def halve(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {key: value.half() for key, value in weights.items()}

    source = changed(predecessor, tmp_path / "half", halve, dtype="float16")
    assert load_torch_model(source).dtype == torch.float32


def test_the_task_may_be_another_of_the_same_size(predecessor: Path) -> None:
    source = open_source(predecessor)
    task = replace(source.task, labels=("a", "b"), max_length=4)
    model = load_model(source, task=task)
    assert (model.task, model.text_encoder.max_length, model.device) == (task, 4, "cpu")


def test_threads_are_what_was_asked(onnx_artifact: Path) -> None:
    session = open_session(onnx_artifact / "model.onnx", threads=1)
    assert session.get_session_options().intra_op_num_threads == 1
    assert session.get_providers() == ["CPUExecutionProvider"]


# Devices that are not there


needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this is the CUDA build of onnxruntime"
)
def test_onnx_on_cuda_is_refused_by_a_cpu_build(onnx_artifact: Path) -> None:
    with pytest.raises(
        ProviderError, match="`device='cuda'`: this onnxruntime has no CUDAExecutionProvider"
    ) as refusal:
        load_model(open_source(onnx_artifact), device="cuda")
    assert "replank doctor" in str(refusal.value.hint)


def test_a_provider_that_falls_back_in_silence_is_refused(onnx_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ONNX Runtime does where the CUDA build finds no driver: it leaves a session on the CPU."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    made = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda path, options, providers, **_: made(path, options, providers=["CPUExecutionProvider"]),
    )
    with pytest.raises(ProviderError, match="did not start; onnxruntime fell back to CPUExecutionProvider"):
        load_model(open_source(onnx_artifact), device="cuda")


def test_int8_on_cuda_is_refused(int8_artifact: Path) -> None:
    with pytest.raises(ProviderError, match="int8 is INT8, which CUDAExecutionProvider cannot run") as refusal:
        load_model(open_source(int8_artifact), device="cuda")
    assert refusal.value.hint == "`device='cpu'` runs INT8 models"


@needs_no_cuda
def test_torch_on_cuda_is_refused(predecessor: Path) -> None:
    with pytest.raises(ProviderError, match="`device='cuda'`: torch finds no such device"):
        load_model(open_source(predecessor), device="cuda")


def test_a_missing_onnxruntime_says_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    require_onnxruntime()
    monkeypatch.setattr("replank.runtime.providers.installed_version", lambda package: None)
    with pytest.raises(MissingExtraError, match="onnxruntime is not installed") as refusal:
        require_onnxruntime()
    assert refusal.value.hint == 'pip install "replank[cpu]" or "replank[gpu]"'


# Weights that are not those of the configuration


def test_a_bare_encoder_does_not_answer(encoder: Path, onnx_artifact: Path) -> None:
    require_head(open_source(onnx_artifact))
    with pytest.raises(
        ModelError, match="is an encoder without a classification head \\(BertModel\\); its answers would"
    ):
        load_model(open_source(encoder))


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (None, {"num_hidden_layers": 6}, r"lack bert\.encoder\.layer\.4\..* and 31 others"),
        (None, {"num_hidden_layers": 2}, r"hold, beyond what config\.json describes, bert\.encoder\.layer\.2\."),
        (without("classifier"), {}, r"lack classifier\.bias and 1 others"),
        (without("pooler"), {}, r"lack bert\.pooler\.dense\.bias and 1 others"),
        (without("word_embeddings"), {}, r"lack bert\.embeddings\.word_embeddings\.weight"),
        (without("layer.1.attention.self.query.bias"), {}, "lack bert.encoder.layer.1.attention.self.query.bias"),
        (lambda weights: {f"x.{k}": v for k, v in weights.items()}, {}, "lack bert.embeddings"),
    ],
)
def test_weights_of_another_model_are_refused(
    predecessor: Path, tmp_path: Path, change: Change | None, config: dict[str, Any], message: str
) -> None:
    source = changed(predecessor, tmp_path / "other", change, **config)
    with pytest.raises(ModelError, match=f"the weights of {source.name} {message}") as refusal:
        load_model(source)
    assert refusal.value.hint == "config.json and model.safetensors are not of the same model"


@pytest.mark.parametrize("is_parametrized", [True, False], ids=["jina-embeddings-v3", "beside"])
def test_adapters_among_the_weights_are_refused_by_name(tmp_path: Path, is_parametrized: bool) -> None:
    model = save_model("jina_embeddings_v3", tmp_path / "model")
    load_torch_model(open_source(model))

    def adapted(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        name = next(key for key in weights if key.endswith("Wqkv.weight")).removesuffix(".weight")
        there = f"{name}.parametrizations.weight"
        rank = {f"{there}.0.lora_A": torch.zeros(5, 4, 32), f"{there}.0.lora_B": torch.zeros(5, 96, 4)}
        if is_parametrized:  # as the model was published
            rank[f"{there}.original"] = weights.pop(f"{name}.weight")
        return weights | rank

    with pytest.raises(ModelError, match="the weights of ") as refusal:
        load_torch_model(changed(model, tmp_path / "adapted", adapted))
    assert refusal.value.hint is not None
    assert refusal.value.hint.startswith("they hold adapters: merge one into the weights")


def test_only_the_head_may_be_new_where_training_follows(encoder: Path, tmp_path: Path) -> None:
    model = load_torch_model(open_source(encoder), new_head=True, num_labels=3)
    assert model.classifier.out_features == 3
    for name, config, problem in (
        ("deeper", {"num_hidden_layers": 6}, r"lack bert\.encoder\.layer\.4"),
        ("shallower", {"num_hidden_layers": 2}, "hold, beyond what"),
        ("wider", {"hidden_size": 64}, r"have another shape than config\.json describes in bert\.embeddings"),
        ("fuller", {"intermediate_size": 128}, "have another shape"),
    ):
        with pytest.raises(ModelError, match=problem):
            load_torch_model(changed(encoder, tmp_path / name, None, **config), new_head=True, num_labels=3)


def test_the_layers_of_a_bare_encoder_may_not_be_new(encoder: Path, tmp_path: Path) -> None:
    source = changed(encoder, tmp_path / "deeper", None, num_hidden_layers=6)
    with pytest.raises(ModelError, match=r"lack encoder\.layer\.4\..* and 31 others"):
        load_torch_model(source, KINDS["feature-extraction"])


def test_a_head_of_another_size_gives_way_only_where_training_follows(predecessor: Path) -> None:
    source = open_source(predecessor)
    assert load_torch_model(source, new_head=True, num_labels=5).classifier.out_features == 5
    with pytest.raises(ModelError, match=r"describes in classifier\.bias \(\(2,\), not \(5,\)\) and 1 others"):
        load_torch_model(source, num_labels=5)


@pytest.mark.parametrize("content", [b"", b"\xff" * 500, None])
def test_corrupted_weights_are_one_error(predecessor: Path, tmp_path: Path, content: bytes | None) -> None:
    source = changed(predecessor, tmp_path / "corrupt")
    whole = source.model_file.read_bytes()
    source.model_file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ModelError, match=f"transformers cannot load {source.name}: ") as refusal:
        load_model(source)
    assert refusal.value.hint == "are config.json and model.safetensors whole, and of the same model?"


@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_a_corrupted_graph_is_one_error(onnx_artifact: Path, tmp_path: Path, content: bytes) -> None:
    folder = shutil.copytree(onnx_artifact, tmp_path / "corrupt")
    (folder / "replank.json").unlink()
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=rf"{folder}/model\.onnx is no ONNX graph"):
        load_model(open_source(folder))
