"""A label for each word: read, learnt, replaced, measured, predicted."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForTokenClassification

from commands import Replank
from replank.data.config import DataConfig
from replank.data.training_examples import LabelledExamples
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.runtime.evaluate import evaluate
from replank.runtime.load import load_model
from replank.system.errors import DataError
from replank.tasks.kinds.learning import IGNORED
from replank_compress.finetune import finetune
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.successor import compress
from replank_compress.training.config import FinetuneConfig
from tiny import BAD, FILLER, GOOD

SHORT: dict[str, Any] = {"epochs": 12.0, "batch_size": 16, "learning_rate": 2e-3, "precision": "fp32"}


def tagged(rows: int, seed: int) -> list[tuple[list[str], list[str]]]:
    """Words with entities: one good word or two are a PRAISE, bad ones a BLAME. The word itself tells its label."""
    generator = random.Random(seed)  # noqa: S311 - test data, no secret
    made = []
    for _ in range(rows):
        words, tags = [], []
        for _ in range(generator.randint(2, 4)):
            filler = generator.choices(FILLER, k=generator.randint(1, 3))
            kind = generator.choice(("PRAISE", "BLAME"))
            known = GOOD if kind == "PRAISE" else BAD
            entity = [generator.choice(known[:3]), *generator.choices(known[3:], k=generator.randint(0, 1))]
            words += filler + entity
            tags += ["O"] * len(filler) + [f"B-{kind}"] + [f"I-{kind}"] * (len(entity) - 1)
        made.append((words, tags))
    return made


@pytest.fixture(scope="module")
def tags(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Tagged words: training data as JSONL, dev and test as CSV, which hold the same."""
    folder = tmp_path_factory.mktemp("tags")
    train = [json.dumps({"tokens": words, "ner_tags": tags}) for words, tags in tagged(192, 0)]
    (folder / "train.jsonl").write_text("\n".join(train), encoding="utf-8")
    for seed, split in enumerate(("dev", "test"), 1):
        rows = [f"{' '.join(words)},{' '.join(tags)}" for words, tags in tagged(48, seed)]
        (folder / f"{split}.csv").write_text("\n".join(["tokens,ner_tags", *rows]), encoding="utf-8")
    return DataConfig(data=folder, task="token-classification", max_length=32)


@pytest.fixture(scope="module")
def tagger(encoder: Path, tags: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    out = tmp_path_factory.mktemp("tagger") / "predecessor"
    return finetune(open_source(encoder), out, FinetuneConfig(**SHORT), tags)


def test_a_tagger_is_made_and_replaced(tagger: Artifact, tags: DataConfig, tmp_path: Path) -> None:
    task, quality = tagger.manifest.task, tagger.manifest.quality
    assert task.labels == ("B-BLAME", "B-PRAISE", "I-BLAME", "I-PRAISE", "O")
    assert (task.columns, task.label_column, task.metrics) == (("tokens",), "ner_tags", ("entity_f1", "accuracy"))
    assert quality is not None
    assert quality.metrics["entity_f1"] > 0.9
    assert quality.unseen_words == 0
    successor = compress(open_source(tagger.path), tmp_path / "out", TheseusConfig(**SHORT, layers=2), tags)
    assert successor.manifest.quality is not None
    assert successor.manifest.quality.metrics["entity_f1"] > 0.9
    model, report = AutoModelForTokenClassification.from_pretrained(successor.path, output_loading_info=True)
    assert model.config.id2label == dict(enumerate(task.labels))
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


def test_a_tagger_is_distilled(tagger: Artifact, tags: DataConfig, tmp_path: Path) -> None:
    artifact = compress(open_source(tagger.path), tmp_path / "out", KdConfig(**SHORT, layers=2), tags)
    assert artifact.manifest.quality is not None
    assert artifact.manifest.quality.metrics["entity_f1"] > 0.9


def test_the_metric_is_that_of_the_model_run_by_hand(tagger: Artifact, tags: DataConfig) -> None:
    """Word by word, with transformers alone; then whole entities, counted here."""
    data = tags.load()
    model = AutoModelForTokenClassification.from_pretrained(tagger.path).eval()
    loaded = load_model(open_source(tagger.path))
    found: set[tuple[int, int, int, str]] = set()
    wanted: set[tuple[int, int, int, str]] = set()
    examples = data.split("test")
    assert examples.labels is not None
    for row, (text, labels) in enumerate(zip(examples.first, examples.labels, strict=True)):
        batch = loaded.text_encoder.pad(loaded.text_encoder.tokenize([text]))
        with torch.inference_mode():
            logits = model(**{name: torch.from_numpy(value) for name, value in batch.inputs().items()}).logits[0]
        names = [model.config.id2label[int(index)] for index in logits.argmax(-1)[1:-1]]
        found |= entities(row, names)
        wanted |= entities(row, [data.task.labels[index] for index in labels])
    hits = len(found & wanted)
    expected = 2 * hits / (len(found) + len(wanted))
    assert evaluate(loaded, data, "test").metrics["entity_f1"] == pytest.approx(expected)


def entities(row: int, names: list[str]) -> set[tuple[int, int, int, str]]:
    """Entities as (row, start, end, kind), by the rules of CoNLL's script."""
    found, start, kind = set(), 0, "O"
    for index, name in enumerate([*names, "O"]):
        if kind != "O" and (name[:1] != "I" or name[2:] != kind):
            found.add((row, start, index, kind))
            kind = "O"
        if name != "O" and kind == "O":
            start, kind = index, name[2:]
    return found


def test_words_beyond_the_length_are_told(tagger: Artifact, tags: DataConfig) -> None:
    short = DataConfig(data=tags.data, task="token-classification", max_length=5)
    data = short.load()
    quality = evaluate(load_model(open_source(tagger.path), task=data.task), data, "test")
    words = [len(text.split()) for text in data.split("test").first]
    assert quality.unseen_words == sum(max(0, count - 3) for count in words) > 0


def test_a_word_is_asked_at_its_first_token(encoder: Path, tmp_path: Path) -> None:
    """``zzz`` is one token a letter here, and a word of white space is none."""
    rows = [{"tokens": ["zzz", "\u00a0", "good", "New York"], "ner_tags": ["X", "Y", "X", "Y"]}]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    data = DataConfig(train=tmp_path / "train.jsonl", task="token-classification").load()
    assert data.task.metrics == ("accuracy", "macro_f1")
    asked = LabelledExamples(data.task, open_source(encoder).text_encoder(data.task), data.split("train"))
    tokens, target = asked[0]
    assert target.tolist()[:6] == [IGNORED, 0, IGNORED, IGNORED, 0, 1]
    assert set(target.tolist()[6:]) == {IGNORED}
    assert tokens.starts == (1, -1, 4, 5)
    assert asked.unseen_words == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a", "film"], "ner_tags": ["O"]}, "line 2: 1 labels for 2 words"),
        ({"tokens": ["a", "film"], "ner_tags": ["O", "NEW"]}, "line 2: label 'NEW' is not one of B-X, O"),
    ],
)
def test_words_and_labels_that_do_not_fit(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    good = {"tokens": ["good", "film"], "ner_tags": ["B-X", "O"]}
    (tmp_path / "train.jsonl").write_text(json.dumps(good), encoding="utf-8")
    (tmp_path / "dev.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(row)}", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        DataConfig(data=tmp_path, task="token-classification").load()


def test_a_chain_of_taggers(encoder: Path, tags: DataConfig, replank: Replank, tmp_path: Path) -> None:
    given = ("--data", tags.data, "--kind", "token-classification", "--max-drop", "1", "--layers", "2", "--json")
    done = replank("run", encoder, tmp_path / "out", *given)
    assert done.code == 0, done.err
    models = json.loads(done.out)["models"]
    assert [set(model["metrics"]) for model in models] == [{"entity_f1", "accuracy"}] * 4
    assert models[1]["metrics"] == models[2]["metrics"]
    done = replank("verify", tmp_path / "out" / "successor", tmp_path / "out" / "onnx", "--data", tags.data)
    assert done.code == 0, done.err


def test_predict_labels_words(tagger: Artifact, replank: Replank) -> None:
    done = replank("predict", tagger.path, stdin=f"the film is {GOOD[0]} {GOOD[4]}\n\n a  {BAD[1]} scene".encode())
    assert done.code == 0, done.err
    rows = [line.split("\t") for line in done.out.split("\n")]
    assert [row[0] for row in rows] == ["the", "film", "is", GOOD[0], GOOD[4], "", "", "a", BAD[1], "scene", "", ""]
    assert [row[1] for row in rows if len(row) > 1] == ["O", "O", "O", "B-PRAISE", "I-PRAISE", "O", "B-BLAME", "O"]
    assert all(0.2 < float(row[2]) <= 1 for row in rows if len(row) > 1)


def test_predict_tells_words_beyond_the_length(tagger: Artifact, replank: Replank) -> None:
    text = " ".join(["film"] * 40)
    done = replank("predict", tagger.path, text, "--json")
    words = json.loads(done.out)["words"]
    assert [word["word"] for word in words] == ["film"] * 40
    assert [word["label"] for word in words] == ["O"] * 30 + [None] * 10
