"""GLUE's files: what is handed in, under which name, for which split."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.data.examples import Dataset, Examples
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.runtime.leaderboard import write_predictions
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.system.errors import DataError, UsageError
from replank.tasks.glue import GLUE
from replank.tasks.task import Task
from tiny import sentences

TEXTS = [text for text, _ in sentences(8, 5)]


def model_of(predecessor: Path, task: Task, logits: Any) -> Model:
    """A model that gives one logit row for each text, in the order of the texts."""
    loaded = load_model(open_source(predecessor))
    order = {tuple(tokens.ids): row for row, tokens in enumerate(loaded.text_encoder.tokenize(TEXTS))}

    def predict(batch: Any) -> Any:
        kept = (row[mask == 1] for row, mask in zip(batch.input_ids, batch.attention_mask, strict=True))
        return np.array([logits[order[tuple(ids.tolist())]] for ids in kept], dtype=np.float32)

    return dataclasses.replace(loaded, task=task, predictor=predict)


def data_of(name: str, labels: tuple[str, ...], *splits: str) -> Dataset:
    task = Task(name, GLUE[name].kind, labels, ("sentence",), "label", GLUE[name].metrics)
    return Dataset(task, {split: Examples(TEXTS, None, None) for split in splits})


@pytest.mark.parametrize(
    ("name", "labels", "file", "expected"),
    [
        ("sst2", ("negative", "positive"), "SST-2", ["0", "1"]),
        ("sst2", ("positive", "negative"), "SST-2", ["1", "0"]),
        ("cola", ("0", "1"), "CoLA", ["0", "1"]),
        ("rte", ("entailment", "not_entailment"), "RTE", ["entailment", "not_entailment"]),
        ("rte", ("not_entailment", "entailment"), "RTE", ["not_entailment", "entailment"]),
        ("wnli", ("not_entailment", "entailment"), "WNLI", ["0", "1"]),
        ("qnli", ("0", "1"), "QNLI", ["entailment", "not_entailment"]),
    ],
)
def test_classes(
    predecessor: Path, tmp_path: Path, name: str, labels: tuple[str, ...], file: str, expected: list[str]
) -> None:
    data = data_of(name, labels, "test")
    classes = [0, 1, 1, 0, 1, 0, 0, 1]
    (path,) = write_predictions(model_of(predecessor, data.task, np.eye(2)[classes]), data, tmp_path)
    assert path == tmp_path / f"{file}.tsv"
    lines = path.read_text().splitlines()
    assert lines[0] == "index\tprediction"
    assert lines[1:] == [f"{row}\t{expected[index]}" for row, index in enumerate(classes)]


def test_numbers_stay_in_their_range(predecessor: Path, tmp_path: Path) -> None:
    data = data_of("stsb", (), "test")
    values = [[-0.5], [0.0], [1.23456], [2.5], [3.0], [4.9996], [5.2], [9.0]]
    (path,) = write_predictions(model_of(predecessor, data.task, values), data, tmp_path)
    found = [line.split("\t")[1] for line in path.read_text().splitlines()[1:]]
    assert found == ["0.000", "0.000", "1.235", "2.500", "3.000", "5.000", "5.000", "5.000"]


def test_mnli_has_three_files(predecessor: Path, tmp_path: Path) -> None:
    labels = GLUE["mnli"].labels
    data = data_of("mnli", labels, "train", "dev", "test", "test_mismatched", "ax")
    model = model_of(predecessor, data.task, np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]])
    files = write_predictions(model, data, tmp_path)
    assert [path.name for path in files] == ["MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv"]
    assert files[0].read_text().splitlines()[3] == "2\tcontradiction"


def test_what_is_none_of_glues_is_refused(predecessor: Path, tmp_path: Path) -> None:
    data = data_of("sst2", ("negative", "positive"), "test")
    model = model_of(predecessor, data.task, np.eye(2)[[0] * 8])
    with pytest.raises(UsageError, match="no task 'mood'"):
        write_predictions(model, Dataset(dataclasses.replace(data.task, name="mood"), data.splits), tmp_path)
    with pytest.raises(DataError, match="the data has no 'test' split"):
        write_predictions(model, data_of("sst2", ("negative", "positive"), "dev"), tmp_path)
    with pytest.raises(DataError, match="the model's labels are bad, good; those of sst2 are negative, positive"):
        write_predictions(model, data_of("sst2", ("bad", "good"), "test"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command(predecessor: Path, data: DataConfig, replank: Replank, tmp_path: Path) -> None:
    """The labels of the tests' sentences are SST-2's."""
    given = ("--task", "sst2", "--data", data.data)
    done = replank("predict", predecessor, "--glue", tmp_path / "out", *given)
    assert (done.code, done.out) == (0, f"{tmp_path / 'out' / 'SST-2.tsv'}\n"), done.err
    lines = (tmp_path / "out" / "SST-2.tsv").read_text().splitlines()
    loaded = data.load()
    assert len(lines) == 1 + len(loaded.split("test"))
    labels = loaded.split("test").labels
    assert labels is not None
    found = np.array([int(line.split("\t")[1]) for line in lines[1:]])
    quality = Artifact.open(predecessor).manifest.quality
    assert quality is not None
    assert (found == labels).mean() == pytest.approx(quality.metrics["accuracy"])


def test_data_without_the_leaderboard_is_refused(predecessor: Path, data: DataConfig, replank: Replank) -> None:
    done = replank("predict", predecessor, "a text", "--task", "sst2", "--data", data.data)
    assert done.code == 2
    assert error_lines(done)[0] == "error: predict takes data with --glue only"


def write_mnli(folder: Path) -> None:
    rows = [f"{text}\t{text}\t{index % 3}" for index, text in enumerate(TEXTS)]
    bare = [row.rpartition("\t")[0] for row in rows]
    for name, taken in (("train", rows), ("dev_matched", rows[:2]), ("dev_mismatched", rows[2:])):
        (folder / f"{name}.tsv").write_text("\n".join(["premise\thypothesis\tlabel", *taken]))
    for name in ("test_matched", "test_mismatched", "ax"):
        (folder / f"{name}.tsv").write_text("\n".join(["premise\thypothesis", *bare]))


def test_mnlis_files_are_read_by_glues_own_names(tmp_path: Path) -> None:
    write_mnli(tmp_path)
    data = DataConfig(dataset="mnli", data=tmp_path).load()
    assert sorted(data.splits) == sorted(["train", "dev", "test", "dev_mismatched", "test_mismatched", "ax"])
    assert (data.held_out, data.also_held_out) == ("dev", "dev_mismatched")
    assert data.split("dev_mismatched").labels is not None
    assert data.split("ax").labels is None
    (tmp_path / "dev.tsv").write_text((tmp_path / "dev_matched.tsv").read_text())
    with pytest.raises(DataError, match=r"holds both dev\.tsv and dev_matched\.tsv; which is it\?"):
        DataConfig(dataset="mnli", data=tmp_path).load()


def test_mnli_is_measured_on_both_halves(encoder: Path, tmp_path: Path) -> None:
    from replank_compress.finetune import finetune
    from replank_compress.training.config import FinetuneConfig

    write_mnli(tmp_path)
    config = FinetuneConfig(epochs=1, precision="fp32")
    out = tmp_path / "out"
    quality = finetune(open_source(encoder), out, config, DataConfig(dataset="mnli", data=tmp_path)).manifest.quality
    assert quality is not None
    assert quality.mismatched is not None
    assert (quality.split, quality.mismatched.split) == ("dev", "dev_mismatched")
    assert (quality.rows, quality.mismatched.rows) == (2, 6)
    assert "accuracy, mismatched" in (out / "README.md").read_text()
