"""Zero-shot classification beside transformers' own pipeline, number by number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import pipeline

from plain_folders import inference_folder
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import UsageError
from replank_export.convert import ExportConfig, export

TEXTS = ["the film is lovely", "a dull plot with very bad music and a poor actor", "good " * 100]
LABELS = ("good", "very bad", "cold music")
ORDERS = (
    ("contradiction", "neutral", "entailment"),
    ("entailment", "neutral", "contradiction"),
    ("entailment", "not_entailment"),
    ("not_entailment", "entailment"),
)


@pytest.mark.parametrize("order", ORDERS)
def test_scores_are_those_of_transformers(tmp_path: Path, order: tuple[str, ...]) -> None:
    folder = inference_folder(tmp_path / "model", order)
    model, ask = load_model(open_source(folder), threads=1), pipeline("zero-shot-classification", model=str(folder))
    cases: list[tuple[tuple[str, ...], dict[str, Any]]] = [
        (LABELS, {}),
        (LABELS, {"multi_label": True}),
        (LABELS, {"template": "the film is {} and it is very {}".replace("very {}", "fine")}),
        (LABELS[:1], {}),
    ]
    for labels, settings in cases:
        theirs = {"hypothesis_template" if name == "template" else name: value for name, value in settings.items()}
        expected: Any = ask(TEXTS, list(labels), **theirs)
        for found, row in zip(model.zero_shot(TEXTS, labels, **settings), expected, strict=True):
            assert list(found.scores) == row["labels"]
            assert list(found.scores.values()) == pytest.approx(row["scores"], abs=1e-5)
            assert (found.label, found.score) == next(iter(found.scores.items()))
            held = [label for label, score in found.scores.items() if score >= 0.5]
            assert list(found.labels) == (held if settings.get("multi_label") else [found.label])


def test_an_exported_model_judges_alike(tmp_path: Path) -> None:
    folder = inference_folder(tmp_path / "model", ORDERS[0])
    torch_model = load_model(open_source(folder), threads=1)
    onnx_model = load_model(open_source(export(open_source(folder), tmp_path / "onnx", ExportConfig()).path), threads=1)
    ours, theirs = (model.zero_shot(TEXTS, LABELS) for model in (onnx_model, torch_model))
    for one, other in zip(ours, theirs, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)


def test_one_text_is_no_list_of_labels_and_another_model_judges_none(tmp_path: Path, successor: Path) -> None:
    model = load_model(open_source(inference_folder(tmp_path / "model", ORDERS[2])), threads=1)
    with pytest.raises(UsageError, match="`labels` is one text"):
        model.zero_shot(TEXTS, "good")
    with pytest.raises(UsageError, match="labels whole texts, and judges no candidate labels: it has 2 labels"):
        load_model(open_source(successor), threads=1).zero_shot(TEXTS, LABELS)
