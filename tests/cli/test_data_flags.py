"""What a person says of labels and metrics on the command line, and what is told of the quality."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import Replank, error_lines
from replank.models.artifact import Artifact
from tiny import sentences

TRAINING = ("--epochs", 1, "--batch-size", 16, "--learning-rate", "2e-3", "--precision", "fp32")
CAUTION = "dev also chose the model: expect less on new data"


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and dev in JSONL, labels as numbers, a row of each without one; no test split."""
    folder = tmp_path_factory.mktemp("numbered")
    for seed, (split, rows) in enumerate({"train": 48, "dev": 24}.items()):
        made = [{"text": text, "label": int(label == "positive")} for text, label in sentences(rows, seed)]
        lines = [json.dumps(row) for row in [*made, {"text": "no label", "label": None}]]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_labels_metric_and_honesty_travel_along_the_chain(
    replank: Replank, encoder: Path, numbered: Path, tmp_path: Path
) -> None:
    data = ("--data", numbered, "--drop-unlabelled")
    flags = ("--labels", "bad,good", "--metric", "macro_f1")
    assert error_lines(replank("finetune", encoder, tmp_path / "a", "--data", numbered, *TRAINING)) == [
        f"error: {numbered}/train.jsonl, line 49: the label is empty (null, NaN or no key)",
        "hint: --drop-unlabelled leaves out rows without a label",
    ]
    tuned = replank("finetune", encoder, tmp_path / "predecessor", *data, *flags, *TRAINING)
    assert tuned.code == 0, tuned.err
    assert "train.jsonl: 1 of 49 rows have no label and are left out (1: the label is empty" in tuned.err
    assert CAUTION in tuned.out
    exported = replank("export", tmp_path / "predecessor", tmp_path / "onnx", *data, "--labels", "bad,good")
    assert exported.code == 0, exported.err
    for name in ("predecessor", "onnx"):
        manifest = Artifact.open(tmp_path / name).manifest
        assert manifest.task.labels == ("bad", "good")
        assert manifest.task.metrics == ("macro_f1", "accuracy")
        assert manifest.quality is not None
        assert (manifest.quality.split, manifest.quality.rows, manifest.quality.chosen_on_it) == ("dev", 24, True)
        assert f"{CAUTION[0].upper()}{CAUTION[1:]}." in (tmp_path / name / "README.md").read_text(encoding="utf-8")
    shown = replank("evaluate", tmp_path / "onnx", *data, "--labels", "bad,good")
    assert [line.split()[0] for line in shown.out.splitlines()[1:3]] == ["macro_f1", "accuracy"]
    assert CAUTION in shown.err
    assert replank("report", tmp_path).code == 0
    assert CAUTION[1:] in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_held_out_split_chose_nothing(replank: Replank, predecessor: Path) -> None:
    quality = Artifact.open(predecessor).manifest.quality
    assert quality is not None
    assert (quality.split, quality.chosen_on_it) == ("test", False)
    assert quality.majority_share is not None
    assert 0.5 <= quality.majority_share < 0.7
    shown = replank("inspect", predecessor).out
    assert "expect less" not in shown
    assert f"always answering the most frequent label has accuracy {quality.majority_share:.4f}" in shown


def test_a_metric_of_another_kind_is_refused_with_those_that_fit(
    replank: Replank, encoder: Path, numbered: Path, tmp_path: Path
) -> None:
    done = replank("finetune", encoder, tmp_path / "a", "--data", numbered, "--drop-unlabelled", "--metric", "pearson")
    assert done.code == 2
    assert error_lines(done)[-1] == (
        "error: --metric is pearson; expected one of accuracy, macro_f1, matthews, f1, for 2 labels (0, 1)"
    )
