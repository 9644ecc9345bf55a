"""`compress --method refbert`: an artifact that finds its references by itself, and needs no predecessor any more."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForSequenceClassification

from commands import Replank
from reference_batches import TEXTS, WIDTH, batch_of, masked
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.models.training_facts import TrainingFacts
from replank.models.weights import REFERENCES, REFERENCES_KEY
from replank.references.bank import read_bank
from replank.runtime.load import load_model
from replank.runtime.predictors import ReferencePredictor
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import ArtifactError, ModelError, ReplankError, UsageError
from replank.tasks.kinds import KINDS
from replank_compress.finetune import finetune
from replank_compress.methods.config import Start
from replank_compress.methods.refbert import RefbertConfig
from replank_compress.successor import compress
from replank_compress.training.config import FinetuneConfig
from small_models import save_model
from training_runs import SHORT, stop_after

CONFIG = RefbertConfig(**SHORT, layers=2)


def test_the_manifest_says_what_it_is_and_what_it_holds(referenced: Path) -> None:
    manifest = Artifact.open(referenced).manifest
    facts = manifest.made_by.facts_of(TrainingFacts).references
    assert facts is not None
    assert facts == manifest.references == read_bank(referenced, facts.digest, WIDTH).facts
    assert (facts.style, facts.texts, facts.precision, facts.retrieval) == ("RefBERT-style", 192, "fp16", "keywords")
    assert facts.bytes > 2 * 2 * WIDTH * facts.tokens
    assert REFERENCES in manifest.files
    assert manifest.quality is not None
    assert manifest.quality.metrics["accuracy"] > 0.8
    card = (referenced / "README.md").read_text(encoding="utf-8")
    assert "RefBERT-style, a reconstruction" in card


def test_the_size_of_a_model_is_with_its_bank(referenced: Path, replank: Replank) -> None:
    weights = open_source(referenced).weights
    assert weights.bytes == sum((referenced / name).stat().st_size for name in ("model.safetensors", REFERENCES))
    shown = replank("inspect", referenced)
    assert "RefBERT-style: 192 texts" in shown.out
    facts = json.loads(replank("inspect", referenced, "--json").out)
    assert facts["work"]["bytes"]["file"] == (referenced / "model.safetensors").stat().st_size


def test_neither_the_predecessor_nor_the_matrices_are_in_the_files(successor: Path, referenced: Path) -> None:
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (referenced, successor))
    assert {name: part.shape for name, part in ours.items()} == {name: part.shape for name, part in theirs.items()}
    assert set(load_file(referenced / REFERENCES)) == {
        *("keys", "values", "starts"),
        *("identities", "keywords", "keyword_starts"),
    }


def test_with_its_references_masked_it_is_the_plain_student(referenced: Path) -> None:
    plain = AutoModelForSequenceClassification.from_pretrained(referenced).eval()
    batch, model = batch_of(referenced), load_model(open_source(referenced))
    inputs = {name: torch.from_numpy(value) for name, value in batch.inputs().items()}
    with torch.no_grad():
        expected = plain(**inputs).logits.numpy()
    np.testing.assert_allclose(model.predictor(masked(batch)), expected, atol=1e-6)
    assert np.abs(model.predictor(batch) - expected).max() > 1e-4


def test_no_text_sees_itself(referenced: Path, data: DataConfig) -> None:
    model = load_model(open_source(referenced))
    rows = model.text_encoder.tokenize(data.load().split("train").first)
    bank = read_bank(referenced, str(open_source(referenced).references), WIDTH)
    found = bank.retriever.nearest([tokens.ids for tokens in rows])
    assert all(rows[other].ids != tokens.ids for tokens, other in zip(rows, found, strict=True))
    completed = model.completed(model.text_encoder.pad(rows[:4]))
    assert completed.references is not None
    expected = bank.batch(found[:4].tolist())
    np.testing.assert_array_equal(completed.references.keys, expected.keys)
    assert model.completed(completed) is completed


def test_it_is_evaluated_and_predicts_as_any_model(referenced: Path, data: DataConfig, replank: Replank) -> None:
    told = Artifact.open(referenced).manifest.quality
    flags = ("--data", data.data, "--text", "sentence", "--split", "test")
    measured = json.loads(replank("evaluate", referenced, *flags, "--json").out)
    assert told is not None
    assert measured["metrics"] == told.metrics
    assert replank("predict", referenced, "the film is superb").out.startswith("positive")


def test_an_interrupted_run_is_the_run(
    predecessor: Path, referenced: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        with pytest.raises(KeyboardInterrupt):
            compress(open_source(predecessor), tmp_path / "out", CONFIG, data)
    undisturbed, resumed = (
        compress(open_source(predecessor), tmp_path / name, CONFIG, data) for name in ("other", "out")
    )
    assert resumed.manifest.digest == undisturbed.manifest.digest
    assert not (tmp_path / "out.work").exists()


@pytest.mark.parametrize(
    ("changes", "texts", "shape"),
    [
        ({"references": 50, "bank_precision": "int8"}, 50, "int8"),
        ({"retrieval": "vectors", "reference_tokens": 4}, 192, "fp16"),
    ],
)
def test_banks_of_other_kinds(
    predecessor: Path, data: DataConfig, tmp_path: Path, changes: dict[str, Any], texts: int, shape: str
) -> None:
    made = compress(open_source(predecessor), tmp_path / "out", replace(CONFIG, **changes), data)
    facts = made.manifest.references
    assert facts is not None
    assert (facts.texts, facts.precision, facts.retrieval) == (texts, shape, changes.get("retrieval", "keywords"))
    assert facts.tokens <= texts * changes.get("reference_tokens", 32)
    assert len(load_model(open_source(made.path)).predict(TEXTS)) == len(TEXTS)


def test_pairs_and_words_have_references_too(encoder: Path, pair_data: DataConfig, tmp_path: Path) -> None:
    lines = [{"tokens": text.split(), "tags": ["O"] * len(text.split())} for text in TEXTS * 4]
    for split in ("train", "dev"):
        content = "\n".join(json.dumps(line | {"tags": ["GOOD", *line["tags"][1:]]}) for line in lines)
        (tmp_path / f"{split}.jsonl").write_text(content, encoding="utf-8")
    words = DataConfig(data=tmp_path, task="token-classification", max_length=32)
    for name, data in (("pairs", pair_data), ("words", words)):
        short = FinetuneConfig(**SHORT | {"epochs": 1})
        tuned = finetune(open_source(encoder), tmp_path / f"{name}-predecessor", short, data)
        made = compress(open_source(tuned.path), tmp_path / name, replace(CONFIG, epochs=1.0), data)
        model = load_model(open_source(made.path))
        assert isinstance(model.predictor, ReferencePredictor)
        assert model.tag(TEXTS[:2]) if name == "words" else model.predict([("a film", "the plot")])


@pytest.mark.parametrize("field", ["references", "reference_tokens"])
def test_settings_that_cannot_work_are_refused(field: str) -> None:
    with pytest.raises(UsageError, match=f"`{field}` is 0; expected 1 or more"):
        RefbertConfig(**SHORT | {field: 0})
    for kind in ("masked-lm", "classification"):
        with pytest.raises(UsageError, match="takes tasks with labels"):
            CONFIG.method(Start(KINDS[kind], None, None, [], (2, 2)))


def test_other_architectures_are_refused(data: DataConfig, tmp_path: Path) -> None:
    names = ("negative", "positive")
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    folder = save_model("distilbert", tmp_path / "model", **labels)
    with pytest.raises(ModelError, match="cannot take references"):
        compress(open_source(folder), tmp_path / "out", replace(CONFIG, layers=1, init_layers="first"), data)
    assert not (tmp_path / "out").exists()


def test_an_empty_training_split_is_refused(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(str(data.data), folder)
    (folder / "train.tsv").write_text("sentence\tlabel\n", encoding="utf-8")
    with pytest.raises(ReplankError, match="train"):
        compress(open_source(predecessor), tmp_path / "out", CONFIG, replace(data, data=folder))


def test_a_bank_of_another_model_or_none_is_refused(referenced: Path, predecessor: Path, tmp_path: Path) -> None:
    """Of an artifact the manifest tells; of a plain folder, the configuration."""
    plain = tmp_path / "plain"
    shutil.copytree(referenced, plain)
    (plain / "replank.json").unlink()
    assert load_model(open_source(plain)).predict(TEXTS) == load_model(open_source(referenced)).predict(TEXTS)
    config = json.loads((plain / "config.json").read_text(encoding="utf-8"))
    (plain / "config.json").write_text(json.dumps(config | {REFERENCES_KEY: "0" * 64}), encoding="utf-8")
    with pytest.raises(ModelError, match="is the reference bank of another model than the one beside it"):
        load_model(open_source(plain))
    (plain / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (plain / REFERENCES).unlink()
    with pytest.raises(ModelError, match=f"has no {REFERENCES}"):
        open_source(plain)
    other = tmp_path / "other"
    shutil.copytree(predecessor, other)
    shutil.copyfile(referenced / REFERENCES, other / REFERENCES)
    with pytest.raises(ArtifactError, match="is no file of the artifact"):
        open_source(other)
    (other / "replank.json").unlink()
    with pytest.raises(ModelError, match="is the reference bank of another model: config"):
        open_source(other)


def test_it_is_the_end_of_its_chain(referenced: Path, data: DataConfig, tmp_path: Path) -> None:
    """What is made of its layers would have no use for its bank."""
    with pytest.raises(ModelError, match="attends to references"):
        load_torch_model(open_source(referenced))
    for stage, config in ((compress, replace(CONFIG, layers=1)), (finetune, FinetuneConfig(**SHORT))):
        with pytest.raises(ModelError, match="attends to references"):
            stage(open_source(referenced), tmp_path / "out", config, data)  # type: ignore[arg-type]
