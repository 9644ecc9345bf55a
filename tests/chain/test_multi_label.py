"""Several labels a text, from data to INT8: the same model in every form, and in transformers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from batch_files import read
from commands import Replank
from replank.chain.stage_folders import StageFolders
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.card import model_card
from replank.models.source import open_source
from replank.resampling.answers_file import answers_of
from replank.resampling.compare import compare_answers
from replank.runtime.evaluate import evaluate
from replank.runtime.load import load_model
from replank.system.errors import DataError
from replank_compress.finetune import finetune
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.pkd import PkdConfig
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.successor import compress
from replank_compress.training.config import FinetuneConfig
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8
from replank_export.quantize import quantize
from replank_export.verify.comparison import compare_models
from tiny import FILLER

LABELS = ("bad", "good", "music")
SHORT: dict[str, Any] = {"learning_rate": 3e-3, "batch_size": 16, "precision": "fp32"}


def write_rows(folder: Path) -> DataConfig:
    """The names of the labels that hold among other words: of two, of none."""
    generator = random.Random(0)  # noqa: S311 - test data, no secret
    for split, rows in (("train", 384), ("dev", 64), ("test", 64)):
        lines = []
        for _ in range(rows):
            labels = [label for label in LABELS if generator.random() < 0.4]
            text = labels + generator.choices(
                [word for word in FILLER if word not in LABELS], k=generator.randint(2, 6)
            )
            generator.shuffle(text)
            lines.append(json.dumps({"text": " ".join(text), "labels": labels}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return DataConfig(dataset="topics", data=folder, task="multi-label", max_length=32)


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    return write_rows(tmp_path_factory.mktemp("topics"))


@pytest.fixture(scope="module")
def chain(encoder: Path, topics: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """The artifacts of a chain by their names."""
    folder = tmp_path_factory.mktemp("chain")
    made = {"predecessor": finetune(open_source(encoder), folder / "a", FinetuneConfig(**SHORT, epochs=12), topics)}
    config = TheseusConfig(**SHORT, epochs=6, layers=2)
    made["successor"] = compress(open_source(made["predecessor"].path), folder / "b", config, topics)
    made["onnx"] = export(open_source(made["successor"].path), folder / "c", ExportConfig(), topics)
    int8 = DynamicInt8(max_drop=0.1, allow_slower=True)
    made["int8"] = quantize(open_source(made["onnx"].path), folder / "d", int8, topics)
    return made


def test_every_stage_keeps_what_was_learnt(chain: dict[str, Artifact]) -> None:
    for name, artifact in chain.items():
        quality = artifact.manifest.quality
        assert quality is not None
        assert next(iter(quality.metrics)) == "micro_f1"
        assert quality.metrics["micro_f1"] > 0.7, name
        assert quality.majority_share is None
        config = json.loads((artifact.path / "config.json").read_text(encoding="utf-8"))
        assert config["problem_type"] == "multi_label_classification"
        assert [config["id2label"][str(index)] for index in range(3)] == list(LABELS)


def test_thresholds_are_chosen_anew_by_training_and_kept_by_other_stages(chain: dict[str, Artifact]) -> None:
    found = {name: artifact.manifest.task.thresholds for name, artifact in chain.items()}
    assert all(thresholds is not None and len(thresholds) == 3 for thresholds in found.values())
    assert found["successor"] == found["onnx"] == found["int8"]
    assert "labels may hold" in model_card(chain["int8"].manifest)


def test_a_stage_that_chose_thresholds_is_not_made_again(chain: dict[str, Artifact], topics: DataConfig) -> None:
    """The data of a chain has its predecessor's task, with the predecessor's thresholds."""
    predecessor, successor = (open_source(chain[name].path) for name in ("predecessor", "successor"))
    assert predecessor.task.thresholds != successor.task.thresholds
    folders = StageFolders(successor.folder.parent, topics.load(predecessor.task))
    config = TheseusConfig(**SHORT, epochs=6, layers=2)
    assert folders.stage(successor.folder.name, compress, predecessor, config, topics).digest == successor.digest


@pytest.mark.parametrize("name", ["successor", "onnx"])
def test_scores_are_those_of_transformers_pipeline(chain: dict[str, Artifact], topics: DataConfig, name: str) -> None:
    texts = list(topics.load().split("test").first[:16])
    plain: Any = transformers.pipeline("text-classification", str(chain["successor"].path), top_k=None)
    asked: Any = transformers.pipeline(
        "text-classification", str(chain["successor"].path), top_k=None, function_to_apply="sigmoid"
    )
    model = load_model(open_source(chain[name].path))
    limits = model.task.thresholds_by_label
    assert limits is not None
    several = set()
    for text, found in zip(texts, model.predict(texts), strict=True):
        for pipeline in (plain, asked):
            truth = {entry["label"]: entry["score"] for entry in pipeline([text])[0]}
            assert found.scores == pytest.approx(truth, abs=1e-5)
        assert list(found.scores.values()) == sorted(found.scores.values(), reverse=True)
        assert found.labels == tuple(label for label, score in found.scores.items() if score >= limits[label])
        several.add(len(found.labels))
    assert {0, 2} <= several


def test_models_are_compared_label_by_label(chain: dict[str, Artifact], topics: DataConfig) -> None:
    answers = {name: answers_of(artifact) for name, artifact in chain.items()}
    ours, theirs = answers["int8"], answers["predecessor"]
    assert ours is not None
    assert theirs is not None
    compared = compare_answers([ours], [theirs], [theirs])
    assert set(compared.metrics) == set(ours.task.metrics)
    found = compare_models(
        open_source(chain["successor"].path), open_source(chain["onnx"].path), topics, device="cpu", threads=1
    )
    assert all(case.label_agreement == 1 for case in found.verification.differences.cases)


@pytest.mark.parametrize("config", [KdConfig, PkdConfig])
def test_other_methods_learn_several_labels(
    chain: dict[str, Artifact], topics: DataConfig, tmp_path: Path, config: Any
) -> None:
    """Of texts without labels too."""
    (tmp_path / "more.jsonl").write_text('{"text": "a good film"}\n{"text": "music"}\n', encoding="utf-8")
    settings = config(**SHORT, epochs=5, layers=2, unlabelled=tmp_path / "more.jsonl", class_weights="balanced")
    made = compress(open_source(chain["predecessor"].path), tmp_path / "out", settings, topics)
    assert made.manifest.quality is not None
    assert made.manifest.quality.metrics["micro_f1"] > 0.65


def test_data_of_one_label_a_text_is_another_task(chain: dict[str, Artifact], tmp_path: Path) -> None:
    rows = "\n".join(json.dumps({"text": "a film", "label": label}) for label in LABELS)
    (tmp_path / "dev.jsonl").write_text(rows, encoding="utf-8")
    data = DataConfig(dev=tmp_path / "dev.jsonl", task="classification", label="label", labels=LABELS)
    model = load_model(open_source(chain["onnx"].path))
    with pytest.raises(DataError, match=r"answers with any of 3 labels .*; the data has 3 labels"):
        evaluate(model, data.load(), "dev")


def test_the_command_line_shows_what_holds(replank: Replank, chain: dict[str, Artifact], tmp_path: Path) -> None:
    texts = ["a plot with music", "the film"]
    folder = chain["onnx"].path
    expected = load_model(open_source(folder)).predict(texts)
    assert [set(found.labels) for found in expected] == [{"music"}, set()]
    lines = replank("predict", folder, *texts).out.splitlines()
    held = ", ".join(expected[0].labels)
    assert lines[0].split("\t")[::2] == [held, texts[0]]
    assert lines[1] == f"\t\t{texts[1]}"
    values = [json.loads(line) for line in replank("predict", folder, *texts, "--json").out.splitlines()]
    assert [value["labels"] for value in values] == [list(found.labels) for found in expected]

    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    for suffix in (".jsonl", ".csv", ".parquet"):
        done = replank("batch", folder, tmp_path / "in.jsonl", tmp_path / f"out{suffix}", "--scores")
        assert done.code == 0, done.err
        for row, found in zip(read(tmp_path / f"out{suffix}"), expected, strict=True):
            labels, scores = (json.loads(v) if isinstance(v := row[key], str) else v for key in ("labels", "scores"))
            assert labels == list(found.labels)
            np.testing.assert_allclose(scores, [found.scores[label] for label in labels], atol=1e-5)
            assert float(row["score_bad"]) == pytest.approx(found.scores["bad"], abs=1e-5)
    assert "thresholds" in replank("inspect", folder).out
