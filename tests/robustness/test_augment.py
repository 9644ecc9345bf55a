"""Adversarial texts of the training split as training rows."""

from __future__ import annotations

from pathlib import Path

import pytest

import replank as interface
from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.robustness.augment import augmented
from replank.robustness.result import read_attack
from replank.system.errors import DataError
from tiny import labels_of


@pytest.fixture(scope="module")
def attacked(
    predecessor: Path, successor: Path, masked_lm: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An attack on the training split of two models."""
    out = tmp_path_factory.mktemp("augment") / "attack.json"
    config = interface.Attack(rows=24, candidates=16)
    interface.attack([predecessor, successor], masked_lm, config, data=data, split="train", out=out)
    return out


def test_the_texts_that_fooled_a_model_are_behind_the_others(
    attacked: Path, predecessor: Path, data: DataConfig
) -> None:
    plain = data.load(open_source(predecessor).task)
    more = augmented(plain, attacked)
    fooled = {
        (text.adversarial, text.label)
        for victim in read_attack(attacked).victims
        for text in victim.texts
        if text.outcome == "fooled"
    }
    count = len(plain.split("train"))
    train = more.split("train")
    assert list(train.first[:count]) == list(plain.split("train").first)
    names = [plain.task.labels[label] for label in labels_of(more, "train")[count:]]
    added = list(zip(train.first[count:], names, strict=True))
    assert set(added) == fooled
    assert len(added) == len(fooled) > 0
    # No other split has changed.
    assert more.split("test").digest == plain.split("test").digest
    assert augmented(plain, None) is plain


def test_training_takes_them(
    replank: Replank, attacked: Path, encoder: Path, predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    digest = augmented(data.load(open_source(predecessor).task), attacked).split("train").digest
    flags = ("--data", data.data, "--text", "sentence", "--epochs", 1, "--augment", attacked)
    made = replank("finetune", encoder, tmp_path / "tuned", *flags, "--dataset", "sentiment")
    assert made.code == 0, made.err
    assert "adversarial texts are added to the 192 of the training split" in made.err
    manifest = Artifact.open(tmp_path / "tuned").manifest
    assert manifest.made_by.config["augment"] == "attack.json"
    assert manifest.made_by.data is not None
    assert manifest.made_by.data["train"] == digest
    smaller = replank("compress", predecessor, tmp_path / "small", *flags, "--layers", 2)
    assert smaller.code == 0, smaller.err
    data_of = Artifact.open(tmp_path / "small").manifest.made_by.data
    assert data_of is not None
    assert data_of["train"] == digest


def test_texts_that_must_stay_unseen_are_refused(
    replank: Replank, attacked: Path, predecessor: Path, masked_lm: Path, data: DataConfig, tmp_path: Path
) -> None:
    other = tmp_path / "attack.json"
    interface.attack(predecessor, masked_lm, interface.Attack(rows=4, candidates=4), data=data, out=other)
    done = replank("finetune", predecessor, tmp_path / "out", "--data", data.data, "--augment", other)
    assert error_lines(done) == [
        f"error: {other} is an attack on the split test, and its texts must stay unseen in training",
        "hint: attack the training texts: replank attack MODEL --split train",
    ]
    assert not (tmp_path / "out").exists()
    rows = "".join(f"another text\t{label}\n" for label in ("negative", "positive") * 20)
    (tmp_path / "train.tsv").write_text(f"sentence\tlabel\n{rows}", encoding="utf-8")
    elsewhere = DataConfig(train=tmp_path / "train.tsv", text="sentence")
    with pytest.raises(DataError, match="is an attack on other texts: row"):
        augmented(elsewhere.load(open_source(predecessor).task), attacked)
