"""Successors of classifiers from texts alone: no row has a label, and the predecessor's answers stand for them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from commands import Replank
from plain_folders import multi_label_folder, number_folder, with_head
from replank import api
from replank.chain.plan import RunConfig
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.models.training_facts import TrainingFacts
from replank.runtime.load import load_model
from replank.system.errors import DataError
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.methods.truncate import TruncateConfig
from replank_compress.successor import compress
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8
from replank_export.quantize import quantize
from tiny import save_table, sentences
from training_runs import SHORT

ROWS = 240
CONFIG = TheseusConfig(**SHORT | {"epochs": 6}, layers=2)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [(text,) for text in dict.fromkeys(text for text, _ in sentences(ROWS, 5))]
    return save_table(tmp_path_factory.mktemp("texts"), "train.tsv", ("sentence",), rows)


@pytest.fixture(scope="module")
def unlabelled(texts: Path) -> DataConfig:
    return DataConfig(train=texts, text="sentence", max_length=32)


@pytest.fixture(scope="module")
def made(predecessor: Path, unlabelled: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return compress(open_source(predecessor), tmp_path_factory.mktemp("made") / "successor", CONFIG, unlabelled)


def test_a_successor_is_judged_by_its_predecessors_answers(
    made: Artifact, predecessor: Path, unlabelled: DataConfig, data: DataConfig
) -> None:
    source, quality, facts = open_source(predecessor), made.manifest.quality, made.manifest.made_by.facts
    assert quality is not None
    assert isinstance(facts, TrainingFacts)
    held_back = unlabelled.load(source.task, without_labels=("train", "dev")).split("dev").first
    ours, theirs = (load_model(each, threads=1).predict(held_back) for each in (open_source(made.path), source))
    agreement = sum(one.label == other.label for one, other in zip(ours, theirs, strict=True)) / len(held_back)
    assert quality.metrics == {"agreement": agreement}
    assert agreement > 0.8
    assert facts.best_dev == {"agreement": agreement}
    assert (quality.rows, quality.compared_with, quality.chosen_on_it) == (len(held_back), "predecessor", True)
    assert quality.cautions[0] == "no labels: the metrics compare its answers with those of predecessor"
    assert made.manifest.task == replace(source.task, metrics=("agreement",))
    # Where rows have labels, they are what counts.
    labelled = api.evaluate(made.path, data=data, threads=1)
    assert list(labelled.metrics) == ["accuracy", "macro_f1"]
    assert labelled.compared_with is None
    assert labelled.metrics["accuracy"] > 0.8


def test_gates_compare_answers_too(made: Artifact, unlabelled: DataConfig, predecessor: Path, tmp_path: Path) -> None:
    onnx = export(open_source(made.path), tmp_path / "onnx", ExportConfig(), unlabelled)
    int8 = quantize(open_source(onnx.path), tmp_path / "int8", DynamicInt8(allow_slower=True), unlabelled)
    first, second = onnx.manifest.quality, int8.manifest.quality
    assert first is not None
    assert second is not None
    assert (first.metrics, first.compared_with) == ({"agreement": 1.0}, "successor")
    assert (second.compared_with, second.source_metrics, second.drop) == (
        "onnx",
        {"agreement": 1.0},
        1 - second.metrics["agreement"],
    )
    assert onnx.manifest.made_by.data == made.manifest.made_by.data
    found = api.evaluate(int8.path, data=unlabelled, predecessor=predecessor, threads=1)
    assert (list(found.metrics), found.compared_with) == (["agreement"], "predecessor")
    compared = api.compare(made.path, int8.path, predecessor=predecessor, data=unlabelled, threads=1)
    assert compared.metrics["agreement"].b == found.metrics["agreement"]
    with pytest.raises(DataError, match="no column 'label'"):
        api.compare(made.path, int8.path, data=unlabelled)


def test_the_command_line_takes_texts_alone_and_says_so(
    predecessor: Path, texts: Path, tmp_path: Path, replank: Replank
) -> None:
    arguments = ("--layers", 2, "--epochs", 1, "--precision", "fp32", "--batch-size", 32)
    done = replank("compress", predecessor, tmp_path / "out", "--unlabelled", texts, *arguments)
    assert done.code == 0, done.err
    assert "agreement 0." in done.out or "agreement 1." in done.out
    assert "no labels: the metrics compare its answers with those of predecessor" in " ".join(done.out.split())
    assert "texts of train are held back to choose by" in done.err
    told = replank(
        "compress", predecessor, tmp_path / "told", "--task", "classification", "--unlabelled", texts, *arguments
    )
    assert told.code == 0, told.err
    assert "agreement" in told.out
    scored = replank("evaluate", tmp_path / "out", "--train", texts, "--predecessor", predecessor, "--json")
    assert json.loads(scored.out)["compared_with"] == "predecessor"


def test_several_labels_a_text(tmp_path: Path) -> None:
    source = open_source(multi_label_folder(tmp_path / "predecessor", ("joy", "anger", "fear")))
    rows = [(text,) for text, _ in sentences(120, 6)]
    data = DataConfig(train=save_table(tmp_path, "train.tsv", ("text",), rows))
    made = compress(source, tmp_path / "out", TheseusConfig(**SHORT, layers=1), data)
    assert made.manifest.quality is not None
    assert list(made.manifest.quality.metrics) == ["agreement"]
    assert 0 <= made.manifest.quality.metrics["agreement"] <= 1


@pytest.mark.parametrize("kind", ["regression", "probability", "reranker"])
def test_numbers_are_compared_by_their_correlations(kind: str, tmp_path: Path) -> None:
    predecessor = number_folder(tmp_path / "predecessor", kind)
    texts = list(dict.fromkeys(text for text, _ in sentences(240, 6)))
    columns = ("query", "passage") if kind == "reranker" else ("sentence",)
    rows = [("good", text) if kind == "reranker" else (text,) for text in texts]
    data = DataConfig(train=save_table(tmp_path, "train.tsv", columns, rows), task=kind, max_length=32)
    made = compress(open_source(predecessor), tmp_path / "successor", replace(CONFIG, layers=1), data)
    onnx = export(open_source(made.path), tmp_path / "onnx", ExportConfig(), data)
    int8 = quantize(open_source(onnx.path), tmp_path / "int8", DynamicInt8(allow_slower=True), data)
    for artifact, judge in ((made, "predecessor"), (onnx, "successor"), (int8, "onnx")):
        quality = artifact.manifest.quality
        assert quality is not None
        assert (list(quality.metrics), quality.compared_with) == (["pearson", "spearman"], judge)
    assert onnx.manifest.quality is not None
    assert min(onnx.manifest.quality.metrics.values()) > 0.999
    held_back = data.load(open_source(predecessor).task, without_labels=("train", "dev")).split("dev")
    ours, theirs = (
        load_model(open_source(path), threads=1).logits(held_back.first, held_back.second)[:, 0]
        for path in (made.path, predecessor)
    )
    assert made.manifest.quality is not None
    found = spearmanr(ours, theirs).statistic
    assert made.manifest.quality.metrics["spearman"] == pytest.approx(found, abs=1e-3)


def test_what_needs_labels_says_so(predecessor: Path, unlabelled: DataConfig, texts: Path, tmp_path: Path) -> None:
    source = open_source(predecessor)
    with pytest.raises(DataError, match="no column 'label'"):
        compress(source, tmp_path / "a", TruncateConfig(layers=2), unlabelled)
    tagger = open_source(with_head(tmp_path / "tagger", "TokenClassification", 3))
    words = tmp_path / "words.jsonl"
    words.write_text('{"tokens": ["a", "good", "film"]}\n', encoding="utf-8")
    with pytest.raises(DataError, match="no dev or test split with labels, by which tasks of kind token"):
        export(tagger, tmp_path / "b", ExportConfig(), DataConfig(dev=words))
    test = save_table(tmp_path, "test.tsv", ("sentence", "label"), [("a good film", "positive")])
    with pytest.raises(DataError, match="dev has no labels to choose by, and test has some"):
        compress(source, tmp_path / "c", CONFIG, replace(unlabelled, test=test))
    with pytest.raises(DataError, match="dev has no labels to choose by, and train has some"):
        compress(source, tmp_path / "c", CONFIG, replace(unlabelled, train=test, dev=texts))
    with pytest.raises(DataError, match="no column 'mood'"):
        compress(source, tmp_path / "c", CONFIG, replace(unlabelled, dev=texts, label="mood"))


def test_a_chain_without_labels(predecessor: Path, texts: Path, tmp_path: Path) -> None:
    config = RunConfig(layers=2, compress_epochs=2, max_drop=1.0, unlabelled=texts)
    summary = api.run(predecessor, tmp_path / "out", config)
    assert [list(model.metrics) for model in summary.models] == [["agreement"]] * 4
    assert (summary.models[0].metrics, summary.compared_with) == ({"agreement": 1.0}, "predecessor")
    # Finished stages are kept.
    again = api.run(predecessor, tmp_path / "out", config)
    assert [model.metrics for model in again.models] == [model.metrics for model in summary.models]
