"""Weights of classes in the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from replank.data.config import DataConfig
from replank.models.source import open_source
from replank.system.errors import FieldError
from replank.tasks.kinds import KINDS
from replank_compress.finetune import finetune
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.successor import compress
from replank_compress.training.class_weights import balanced_weights, weighted_loss
from replank_compress.training.config import FinetuneConfig
from small_models import INPUTS, make_model
from tables import save_labels, save_tags
from tiny import curve_of, sentences

SHORT: dict[str, Any] = {"epochs": 2.0, "batch_size": 16, "precision": "fp32"}


def test_they_are_the_inverse_of_the_shares(tmp_path: Path) -> None:
    train = save_labels(tmp_path, ".csv", ["a"] * 6 + ["b"] * 2)
    data = DataConfig(train=train, labels=("a", "b", "none here")).load()
    assert balanced_weights(data).tolist() == pytest.approx([8 / (2 * 6), 8 / (2 * 2), 1.0])
    tags = save_tags(tmp_path, [["O", "O", "O"], ["B-X"]])
    words = DataConfig(train=tags, task="token-classification").load()
    assert balanced_weights(words).tolist() == pytest.approx([4 / 2, 4 / (2 * 3)])


def test_the_sides_of_each_of_several_labels_count_alike(tmp_path: Path) -> None:
    """a holds in one row of four, b in two, and c, which no row tells apart, keeps the weight 1."""
    train = save_labels(tmp_path, ".jsonl", [["a", "c"], ["b", "c"], ["c", "b"], ["c"]])
    weights = balanced_weights(DataConfig(train=train, task="multi-label").load())
    assert weights.tolist() == [pytest.approx([4 / 6, 1, 1]), pytest.approx([4 / 2, 1, 1])]
    model, labels = make_model(num_labels=3, problem_type="multi_label_classification"), torch.eye(3)[:2]
    logits = model(**INPUTS).logits.detach()
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    side = torch.where(labels > 0, weights[1], weights[0])
    with weighted_loss(model.train(), KINDS["multi-label"], weights):
        assert model(**INPUTS, labels=labels).loss.item() == pytest.approx((each * side).mean().item(), abs=1e-6)
    assert model(**INPUTS, labels=labels).loss.item() == pytest.approx(each.mean().item(), abs=1e-6)


def test_numbers_have_none(tmp_path: Path) -> None:
    train = save_labels(tmp_path, ".csv", ["1", "2"])
    with pytest.raises(FieldError, match="expected nothing, because tasks of kind regression have no classes"):
        balanced_weights(DataConfig(train=train, task="regression").load())


def test_the_loss_is_weighted_in_training_alone() -> None:
    """The mean over rows of weight times cross entropy, by hand."""
    model, labels = make_model(), torch.tensor([0, 1])
    logits = model(**INPUTS).logits.detach()
    each = -torch.log_softmax(logits, 1)[torch.arange(2), labels]
    plain = model(**INPUTS, labels=labels).loss.item()
    assert plain == pytest.approx(each.mean().item(), abs=1e-6)
    with weighted_loss(model, KINDS["classification"], torch.tensor([0.5, 3.0])):
        assert model(**INPUTS, labels=labels).loss.item() == pytest.approx(plain, abs=1e-6)
        model.train()
        weighted = model(**INPUTS, labels=labels).loss
    assert weighted.item() == pytest.approx((each * torch.tensor([0.5, 3.0])).mean().item(), abs=1e-6)
    assert model(**INPUTS, labels=labels).loss.item() == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(
    "config", [FinetuneConfig(**SHORT), TheseusConfig(**SHORT, layers=2), KdConfig(**SHORT, layers=2)]
)
def test_every_method_takes_them(encoder: Path, predecessor: Path, tmp_path: Path, config: Any) -> None:
    """On unbalanced rows the weights that are learnt are others, and the manifest says so."""
    rows = sentences(200, 5)
    for split, part in (("train", rows[:150]), ("dev", rows[150:])):
        kept = [(text, label) for row, (text, label) in enumerate(part) if label == "positive" or row % 8 == 0]
        lines = ["sentence\tlabel", *(f"{text}\t{label}" for text, label in kept)]
        (tmp_path / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = DataConfig(data=tmp_path, text="sentence", max_length=32)

    def made(name: str, class_weights: Any) -> Any:
        settings = type(config)(**{**vars(config), "class_weights": class_weights})
        if isinstance(config, FinetuneConfig):
            return finetune(open_source(encoder), tmp_path / name, settings, data)
        return compress(open_source(predecessor), tmp_path / name, settings, data)

    plain, weighted = made("plain", None), made("weighted", "balanced")
    assert weighted.manifest.made_by.config["class_weights"] == "balanced"
    first, second = (
        np.array([entry["loss"] for entry in curve_of(artifact.path) if "loss" in entry])
        for artifact in (plain, weighted)
    )
    assert np.abs(first - second).max() > 1e-3


def test_other_weights_are_refused() -> None:
    with pytest.raises(FieldError, match="`class_weights` is heavy; expected balanced, or None"):
        FinetuneConfig(class_weights="heavy")  # type: ignore[arg-type]
