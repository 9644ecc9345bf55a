"""Folders of sentence-transformers: their vectors and scores are what sentence-transformers itself gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer

from embedding_folders import save_embedding_model, write
from replank.data.demo import demo_encoder
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import ModelError, UsageError
from replank.tasks.kinds import KINDS
from replank.tasks.vectors import Pooling, Vectors
from replank_export.convert import ExportConfig, export
from tiny import tiny_settings, write_tokenizer

TEXTS = ["a good film", "the very dull plot of a film with music and it is bad", "", "Good"]
PAIRS = [("a good film", "the plot is lovely"), ("bad music", "it is a film"), ("the", "dull")]
POOLING_KEYS = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens"}


def require_same_vectors(folder: Path, texts: list[str] = TEXTS, prompt: str | None = None) -> None:
    """Check the vectors of a folder, as it is and after the export, against those of sentence-transformers."""
    truth = SentenceTransformer(str(folder), device="cpu").encode(texts, prompt_name=prompt)
    found = load_model(open_source(folder)).embed(texts, prompt_name=prompt)
    np.testing.assert_allclose(found, truth, atol=1e-5)
    exported = folder.with_name("exported")
    export(open_source(folder), exported, ExportConfig())
    np.testing.assert_allclose(load_model(open_source(exported)).embed(texts, prompt_name=prompt), truth, atol=1e-5)


# Vectors


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_every_pooling(tmp_path: Path, pooling: Pooling) -> None:
    require_same_vectors(save_embedding_model(tmp_path / "model", {"pooling_mode": pooling}))


@pytest.mark.parametrize("pooling", list(POOLING_KEYS))
@pytest.mark.parametrize("more", [(), ("Normalize",), ("Dropout", "Normalize")])
def test_settings_of_older_releases(tmp_path: Path, pooling: str, more: tuple[str, ...]) -> None:
    keys = {f"pooling_mode_{key}": name == pooling for name, key in POOLING_KEYS.items()}
    folder = save_embedding_model(tmp_path / "model", keys, *more)
    if "Dropout" in more:
        write(folder / "2_Dropout" / "config.json", {"dropout": 0.5})
    require_same_vectors(folder)


def test_prompts(tmp_path: Path) -> None:
    prompts = {"query": "the plot is ", "passage": "a film "}
    folder = save_embedding_model(tmp_path / "model", {"pooling_mode": "mean"}, prompts=prompts)
    require_same_vectors(folder, prompt="query")
    model = load_model(open_source(folder.with_name("exported")))
    assert not np.allclose(model.embed(TEXTS, prompt_name="query"), model.embed(TEXTS), atol=1e-3)
    with pytest.raises(UsageError, match="the model has no prompt 'title'; its prompts: query, passage"):
        model.embed(TEXTS, prompt_name="title")


def test_a_default_prompt(tmp_path: Path) -> None:
    settings = {"prompts": {"query": "the plot is "}, "default_prompt_name": "query"}
    require_same_vectors(save_embedding_model(tmp_path / "model", {"pooling_mode": "cls"}, **settings))


@pytest.mark.parametrize("name", ["sentence_bert_config.json", "sentence_distilbert_config.json"])
def test_a_text_is_cut_where_the_folder_says(tmp_path: Path, name: str) -> None:
    folder = save_embedding_model(tmp_path / "model", {"pooling_mode": "mean"})
    write(folder / name, {"max_seq_length": 9, "do_lower_case": False})
    require_same_vectors(folder, ["a good film " * 10])
    assert load_model(open_source(folder)).text_encoder.max_length == 9


def test_the_untouched_package(tmp_path: Path) -> None:
    folder = shutil.copytree(demo_encoder(), tmp_path / "minilm")
    source = open_source(folder)
    assert (source.task.kind.name, source.task.max_length) == ("feature-extraction", 256)
    assert source.task.vectors == Vectors("mean", normalize=True)
    texts = ["A moving and funny film. " * 60, "Ünïcode 🚢 and CASES", "x"]
    truth = SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(load_model(source).embed(texts), truth, atol=1e-5)


def test_lower_case_that_the_tokenizer_makes_anyway(tmp_path: Path) -> None:
    folder = save_embedding_model(tmp_path / "model", {"pooling_mode": "mean"})
    write(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": True})
    require_same_vectors(folder)


Change = Callable[[Path], None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: add_module(folder, "Dense"),
            "of the modules Transformer, Pooling, Dense; expected Transformer",
        ),
        (lambda folder: add_module(folder, "LayerNorm"), "of the modules Transformer, Pooling, LayerNorm"),
        (lambda folder: write(folder / "modules.json", []), "of the modules ; expected Transformer and Pooling"),
        (lambda folder: write(folder / "modules.json", {}), "modules.json is no list of JSON objects"),
        (lambda folder: set_pooling(folder, pooling_mode="median"), "the pooling is median; expected one of mean, cls"),
        (lambda folder: set_pooling(folder, pooling_mode=["cls", "mean"]), "the pooling is cls and mean; expected one"),
        (lambda folder: set_pooling(folder, include_prompt=False), "include_prompt is false, which is not supported"),
        (lambda folder: set_length(folder, max_seq_length="long"), "max_seq_length is 'long'; expected a number"),
        (lambda folder: set_length(folder, query_expansion={}), "query_expansion is {}, which is not supported"),
        (lambda folder: set_prompts(folder, truncate_dim=8), "truncate_dim is 8, which is not supported"),
        (lambda folder: set_prompts(folder, default_prompt_name="q"), "default_prompt_name is 'q'; its prompts: none"),
        (lambda folder: set_prompts(folder, prompts=["q"]), "prompts is no object of texts"),
        (
            lambda folder: set_prompts(folder, model_type="SparseEncoder"),
            "model_type is 'SparseEncoder'; expected Sen",
        ),
        (lambda folder: own_class(folder), "names the class 'custom_st.Transformer', which is code of the model's own"),
        (lambda folder: in_subfolder(folder), "keeps its encoder in 0_Transformer, as older sentence-transformers"),
        (lambda folder: cased(folder), "do_lower_case is true and its tokenizer keeps capital letters"),
    ],
)
def test_what_would_change_vectors_and_is_not_understood(tmp_path: Path, change: Change, message: str) -> None:
    folder = save_embedding_model(tmp_path / "model", {"pooling_mode": "mean"})
    change(folder)
    with pytest.raises(ModelError) as refusal:
        open_source(folder)
    assert message in refusal.value.message


def test_a_module_outside_the_folder(tmp_path: Path) -> None:
    folder = save_embedding_model(tmp_path / "model", {"pooling_mode": "mean"})
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    modules[1]["path"] = "../1_Pooling"
    write(folder / "modules.json", modules)
    with pytest.raises(ModelError, match=r"names the path '\.\./1_Pooling'; expected a folder in it"):
        open_source(folder)


def add_module(folder: Path, name: str) -> None:
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    entry = {"idx": 2, "name": "2", "path": f"2_{name}", "type": f"sentence_transformers.models.{name}"}
    write(folder / "modules.json", [*modules, entry])


def own_class(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    write(folder / "modules.json", [modules[0] | {"type": "custom_st.Transformer"}, *modules[1:]])


def in_subfolder(folder: Path) -> None:
    """As sentence-transformers saved models before release 2."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    write(folder / "modules.json", [modules[0] | {"path": "0_Transformer"}, *modules[1:]])
    (folder / "config.json").unlink()


def set_pooling(folder: Path, **settings: Any) -> None:
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, "pooling_mode": "mean"} | settings)


def set_length(folder: Path, **settings: Any) -> None:
    write(folder / "sentence_bert_config.json", settings)


def set_prompts(folder: Path, **settings: Any) -> None:
    write(folder / "config_sentence_transformers.json", settings)


def cased(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["normalizer"]["lowercase"] = False
    write(folder / "tokenizer.json", tokenizer)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    write(folder / "tokenizer_config.json", settings | {"do_lower_case": False})
    set_length(folder, do_lower_case=True)


# Cross-encoders


def save_cross_encoder(folder: Path, outputs: int = 1, **config: Any) -> Path:
    torch.manual_seed(0)
    settings = tiny_settings(num_hidden_layers=2, num_labels=outputs) | config
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**settings))
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.mark.parametrize(
    "config",
    [
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"}},
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid", "version": "5.0.0"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ],
)
def test_a_cross_encoder_scores_a_pair(tmp_path: Path, config: dict[str, Any]) -> None:
    folder = save_cross_encoder(tmp_path / "model", **config)
    truth = CrossEncoder(str(folder), device="cpu").predict(PAIRS)
    source = open_source(folder)
    assert source.task.is_pair
    np.testing.assert_allclose([found.score for found in load_model(source).predict(PAIRS)], truth, atol=1e-5)
    export(source, tmp_path / "onnx", ExportConfig())
    exported = load_model(open_source(tmp_path / "onnx"))
    np.testing.assert_allclose([found.score for found in exported.predict(PAIRS)], truth, atol=1e-5)


def test_a_cross_encoder_as_sentence_transformers_saves_it(tmp_path: Path) -> None:
    plain = save_cross_encoder(tmp_path / "plain")
    CrossEncoder(str(plain), device="cpu").save_pretrained(str(tmp_path / "saved"))
    source = open_source(tmp_path / "saved")
    assert (source.task.kind.name, source.task.is_pair) == ("probability", True)
    truth = CrossEncoder(str(plain), device="cpu").predict(PAIRS)
    np.testing.assert_allclose([found.score for found in load_model(source).predict(PAIRS)], truth, atol=1e-5)


def test_a_prompt_of_a_cross_encoder_is_not_passed_over(tmp_path: Path) -> None:
    plain = save_cross_encoder(tmp_path / "plain")
    encoder = CrossEncoder(str(plain), device="cpu", prompts={"q": "the plot "}, default_prompt_name="q")
    encoder.save_pretrained(str(tmp_path / "saved"))
    with pytest.raises(ModelError, match="default_prompt_name is 'q'; prompts of cross-encoders are not supported"):
        open_source(tmp_path / "saved")


def test_an_activation_that_is_not_understood(tmp_path: Path) -> None:
    block = {"activation_fn": "torch.nn.modules.activation.Tanh", "version": "5.0.0"}
    folder = save_cross_encoder(tmp_path / "model", sentence_transformers=block)
    with pytest.raises(ModelError, match="answers through the activation Tanh; expected Identity or Sigmoid with 1 "):
        open_source(folder)


@pytest.mark.parametrize(("outputs", "problem"), [(1, None), (1, "regression"), (3, None)])
def test_a_plain_folder_answers_pairs_as_the_pipeline_does(tmp_path: Path, outputs: int, problem: str | None) -> None:
    folder = save_cross_encoder(tmp_path / "model", outputs, problem_type=problem)
    pipeline: Any = transformers.pipeline("text-classification", str(folder), top_k=None)
    model = load_model(open_source(folder))
    for pair, found in zip(PAIRS, model.predict(PAIRS), strict=True):
        truth = pipeline({"text": pair[0], "text_pair": pair[1]})
        assert found.score == pytest.approx(truth[0]["score"], abs=1e-5)
    for text, found in zip(TEXTS, model.predict(TEXTS), strict=True):
        assert found.score == pytest.approx(pipeline(text)[0][0]["score"], abs=1e-5)


def test_a_cross_encoder_is_trained_by_its_own_loss(tmp_path: Path) -> None:
    folder = save_cross_encoder(tmp_path / "model")
    for predecessor, problem in ((folder, "multi_label_classification"), (save_regression(tmp_path), "regression")):
        source = open_source(predecessor)
        model = load_torch_model(source)
        assert model.config.problem_type == problem
        model.save_pretrained(tmp_path / "saved")
        write_tokenizer(tmp_path / "saved")
        assert open_source(tmp_path / "saved").task.kind == source.task.kind


def save_regression(folder: Path) -> Path:
    return save_cross_encoder(folder / "regression", problem_type="regression")


def test_a_new_head_has_no_activation_of_the_old_one(tmp_path: Path) -> None:
    block = {"activation_fn": "torch.nn.modules.activation.Sigmoid", "version": "5.0.0"}
    source = open_source(save_cross_encoder(tmp_path / "model", sentence_transformers=block))
    kind = KINDS["classification"]
    model = load_torch_model(source, kind, new_head=True, **kind.head_settings(("a", "b")))
    model.save_pretrained(tmp_path / "saved")
    write_tokenizer(tmp_path / "saved")
    assert open_source(tmp_path / "saved").task.kind == kind
