"""Every kind of head on an encoder in integers: the answers are near those of torch, and integers before the head."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from embedding_folders import save_embedding_model
from replank.data.config import DataConfig
from replank.models.int8_facts import Int8Facts
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank_export.integer.config import IntegerInt8
from replank_export.schemes import quantize
from tiny import tiny_settings, write_tokenizer

_TEXTS = tuple(f"the film is {'good' if row % 2 else 'bad'} {'very ' * (row % 5)}and warm" for row in range(32))


def save_head(folder: Path, head: str, **settings: Any) -> Path:
    """A random BERT of two layers with a head of transformers."""
    torch.manual_seed(0)
    config = transformers.BertConfig(**tiny_settings(num_hidden_layers=2, **settings))
    model = getattr(transformers, head)(config)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_rows(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return file


def in_integers(model: Path, out: Path, data: DataConfig) -> float:
    """The lowest signal-to-noise ratio of the answers to real texts, in dB."""
    artifact = quantize(open_source(model), out, IntegerInt8(max_drop=1.0, calibration_rows=16), data)
    facts = artifact.manifest.made_by.facts_of(Int8Facts).integer
    assert facts is not None
    assert facts.compared > 0
    assert artifact.manifest.verification is not None
    found = [case.sqnr_db for case in artifact.manifest.verification.cases if case.case == "real texts"]
    assert len(found) == 1
    assert found[0] is not None
    return found[0]


def test_labels_of_words(tmp_path: Path) -> None:
    labels = {0: "O", 1: "B-GOOD", 2: "B-BAD"}
    model = save_head(tmp_path / "model", "BertForTokenClassification", id2label=labels)
    rows = [
        {
            "tokens": text.split(),
            "ner_tags": [{"good": "B-GOOD", "bad": "B-BAD"}.get(word, "O") for word in text.split()],
        }
        for text in _TEXTS
    ]
    file = write_rows(tmp_path / "train.jsonl", rows)
    data = DataConfig(train=file, dev=file, task="token-classification", max_length=32)
    assert in_integers(model, tmp_path / "out", data) > 10
    assert load_model(open_source(tmp_path / "out")).task.labels == ("O", "B-GOOD", "B-BAD")


@pytest.mark.parametrize(
    ("task", "settings", "labels"),
    [
        ("regression", {"num_labels": 1, "problem_type": "regression"}, (1.5, 3.25)),
        (
            "multi-label",
            {"id2label": {0: "dull", 1: "warm", 2: "long"}, "problem_type": "multi_label_classification"},
            (["warm"], ["dull", "long"]),
        ),
        ("probability", {"num_labels": 1}, (0, 1)),
    ],
)
def test_scores(task: str, settings: dict[str, Any], labels: tuple[Any, Any], tmp_path: Path) -> None:
    model = save_head(tmp_path / "model", "BertForSequenceClassification", **settings)
    rows = [{"text": text, "label": labels[number % 2]} for number, text in enumerate(_TEXTS)]
    file = write_rows(tmp_path / "train.jsonl", rows)
    data = DataConfig(train=file, dev=file, task=task, text="text", label="label")
    assert in_integers(model, tmp_path / "out", data) > 10
    assert load_model(open_source(tmp_path / "out")).task.kind.name == task


def test_vectors_of_texts(tmp_path: Path) -> None:
    model = save_embedding_model(tmp_path / "model", {"pooling_mode_mean_tokens": True}, "Normalize")
    file = write_rows(tmp_path / "train.jsonl", [{"text": text} for text in _TEXTS])
    data = DataConfig(train=file, dev=file, task="sentence-embedding", text="text", max_length=32)
    assert in_integers(model, tmp_path / "out", data) > 10
