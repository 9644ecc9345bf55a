"""The words of every row of a file, with their labels, and its entities."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForTokenClassification

from batch_files import read
from commands import Replank, error_lines
from replank.models.source import open_source
from replank.runtime.load import load_model
from tiny import tiny_settings, write_tokenizer

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TEXTS = ["the film (superb), is.", "", "a\tdull\nplot\u00a0", "[1] good", "很 good film " * 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tagger, of transformers alone."""
    folder = tmp_path_factory.mktemp("tagger")
    torch.manual_seed(0)
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: index for index, label in enumerate(LABELS)}}
    config = AutoConfig.for_model("bert", **tiny_settings(num_hidden_layers=1), **names)
    model = AutoModelForTokenClassification.from_config(config)  # type: ignore[no-untyped-call]
    for parameter in model.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def values(row: dict[str, Any], column: str) -> Any:
    """A list; of .csv and .parquet it is JSON."""
    return json.loads(row[column]) if isinstance(row[column], str) else row[column]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_words_and_entities_of_every_row(replank: Replank, folder: Path, tmp_path: Path, suffix: str) -> None:
    file, out = tmp_path / "in.jsonl", tmp_path / f"out{suffix}"
    file.write_text("\n".join(json.dumps({"text": text, "key": f"id {text}"}) for text in TEXTS), encoding="utf-8")
    done = replank("batch", folder, file, out, "--id", "key", "--json")
    assert done.code == 0, done.err
    rows = read(out)
    assert [list(row) for row in rows] == [["key", "words", "entities"]] * len(TEXTS)
    assert [row["key"] for row in rows] == [f"id {text}" for text in TEXTS]
    expected = load_model(open_source(folder)).tag(TEXTS)
    for row, tagged in zip(rows, expected, strict=True):
        for column, found in (("words", tagged.words), ("entities", tagged.entities)):
            assert values(row, column) == [
                asdict(one) | {"score": one.score if one.score is None else pytest.approx(one.score, abs=1e-5)}
                for one in found
            ]
    assert any(values(row, "entities") for row in rows)
    assert isinstance(rows[0]["words"], list) == (suffix == ".jsonl")


def test_lists_of_words_are_read_as_in_files_to_learn_from(replank: Replank, folder: Path, tmp_path: Path) -> None:
    rows = [{"tokens": ["the", "film,", "U.S."]}, {"tokens": ["[", "good"]}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    done = replank("batch", folder, tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--text", "tokens")
    assert done.code == 0, done.err
    written = read(tmp_path / "out.jsonl")
    assert [[word["text"] for word in row["words"]] for row in written] == [row["tokens"] for row in rows]
    labels = [
        [word.label for word in one.words] for one in load_model(open_source(folder)).tag([r["tokens"] for r in rows])
    ]
    assert [[word["label"] for word in row["words"]] for row in written] == labels


def test_there_is_no_score_of_every_label(replank: Replank, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a film"}', encoding="utf-8")
    done = replank("batch", folder, tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--scores")
    assert done.code == 2
    assert error_lines(done)[0] == (
        "error: --scores is True; expected false for a model that labels words: each has its likeliest label alone"
    )
    assert not (tmp_path / "out.jsonl.work").exists()
