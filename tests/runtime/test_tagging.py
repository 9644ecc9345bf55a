"""Raw texts to labelled words and entities, in the characters of the text."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing

from commands import Replank
from replank.data.config import DataConfig
from replank.data.training_examples import LabelledExamples
from replank.models.source import open_source
from replank.runtime.evaluate import evaluate
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.tagging import tag_text
from replank.system.errors import UsageError
from replank.system.json_files import read_json
from replank.tasks.answers import Entity, TaggedText
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from replank.text.tokens import Tokens
from replank_compress.finetune import finetune
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.successor import compress
from replank_compress.training.config import FinetuneConfig
from tiny import SPECIAL, tiny_settings

PEOPLE, CITIES = ("ada", "grace", "alan", "u.s.", "o'neil"), ("london", "paris", "rome", "al-kut")
OTHERS = ("writes", "to", "lives", "in", "(", ")", ",", ".", "from", "and", "don't", "3.5", "'s", "...")
CHINESE = "我在看书他去的人来"


def sentences(rows: int) -> Iterator[tuple[list[str], list[str]]]:
    """Words as CoNLL has them, some with marks inside, each with its label; a city may follow another."""
    generator = random.Random(0)  # noqa: S311 - test data, no secret
    for _ in range(rows):
        words = generator.choices(PEOPLE + CITIES + OTHERS, k=generator.randint(3, 9))
        yield words, ["B-PER" if word in PEOPLE else "B-LOC" if word in CITIES else "O" for word in words]


def characters(rows: int) -> Iterator[tuple[list[str], list[str]]]:
    """Single Chinese characters, with cities of two among them."""
    generator = random.Random(0)  # noqa: S311 - test data, no secret
    for _ in range(rows):
        words: list[str] = []
        labels: list[str] = []
        for _ in range(generator.randint(2, 4)):
            words += [*generator.choices(CHINESE, k=generator.randint(0, 3)), *generator.choice(("北京", "上海"))]
            labels += ["O"] * (len(words) - len(labels) - 2) + ["B-LOC", "I-LOC"]
        yield words, labels


def write_tagged(folder: Path, rows: Iterator[tuple[list[str], list[str]]]) -> DataConfig:
    lines = [json.dumps({"tokens": words, "ner_tags": labels}) for words, labels in rows]
    (folder / "train.jsonl").write_text("\n".join(lines[32:]), encoding="utf-8")
    (folder / "dev.jsonl").write_text("\n".join(lines[:32]), encoding="utf-8")
    return DataConfig(data=folder, task="token-classification", max_length=32)


def write_bert(folder: Path, encoder: Path) -> Path:
    """A BERT that knows the letters, marks and characters of these texts, and a few whole words."""
    folder.mkdir()
    pieces = [*SPECIAL, *(word for word in (*PEOPLE[:3], *CITIES[:3], *OTHERS[:4])), *"().,'-3…", *CHINESE, *"北京上海"]
    pieces += [prefix + letter for letter in "abcdefghijklmnopqrstuvwxyz5" for prefix in ("", "##")]
    settings = read_json(encoder / "tokenizer.json")
    settings["model"]["vocab"] = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    (folder / "tokenizer.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text((encoder / "tokenizer_config.json").read_text(encoding="utf-8"))
    return write_encoder(folder, len(settings["model"]["vocab"]))


def write_encoder(folder: Path, vocabulary: int) -> Path:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    settings = tiny_settings(vocab_size=vocabulary, num_hidden_layers=2)
    BertModel(BertConfig(**settings)).save_pretrained(folder)
    return folder


def write_xlm(folder: Path, encoder: Path) -> Path:
    """The same with a SentencePiece tokenizer: tokens of words begin with the space before them."""
    folder.mkdir()
    first = (word if word.isalpha() else word[:2] for word in (*PEOPLE, *CITIES, *OTHERS))
    pieces = dict.fromkeys([*SPECIAL, "▁", *(f"▁{piece}" for piece in first), *"().,'-abcdefghijklmnopqrstuvwxyz35"])
    tokenizer = Tokenizer(Unigram([(piece, -10 / len(piece)) for piece in pieces], unk_id=1))
    tokenizer.pre_tokenizer = Metaspace()
    around = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=around)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = read_json(encoder / "tokenizer_config.json") | {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return write_encoder(folder, len(pieces))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    return write_tagged(tmp_path_factory.mktemp("words"), sentences(224))


def tune(encoder: Path, data: DataConfig, out: Path) -> Model:
    config = FinetuneConfig(epochs=12, batch_size=16, learning_rate=4e-3, precision="fp32")
    return load_model(open_source(finetune(open_source(encoder), out, config, data).path))


@pytest.fixture(scope="module")
def tagger(encoder: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("tagger")
    return tune(write_bert(folder / "encoder", encoder), data, folder / "tagger")


@pytest.fixture(scope="module")
def space_tagger(encoder: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("space-tagger")
    return tune(write_xlm(folder / "encoder", encoder), data, folder / "tagger")


@pytest.fixture(scope="module")
def character_tagger(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("character-tagger")
    data = write_tagged(folder, characters(160))
    return tune(write_bert(folder / "encoder", encoder), data, folder / "tagger")


def places(tagged: TaggedText) -> list[tuple[str, str, int, int]]:
    return [(entity.label, entity.text, entity.start, entity.end) for entity in tagged.entities]


TEXTS = {
    "ada writes to (london).": [("PER", "ada", 0, 3), ("LOC", "london", 15, 21)],
    "grace lives in paris, rome.": [("PER", "grace", 0, 5), ("LOC", "paris", 15, 20), ("LOC", "rome", 22, 26)],
    "ada,grace\n\n in\tparis\u00a0...": [("PER", "ada", 0, 3), ("PER", "grace", 4, 9), ("LOC", "paris", 15, 20)],
    "ada's london.": [("PER", "ada", 0, 3), ("LOC", "london", 6, 12)],
    "u.s. writes, don't": [("PER", "u.s.", 0, 4)],
    "from al-kut.": [("LOC", "al-kut", 5, 11)],
    "lives in pa\u0301ris.": [("LOC", "pa\u0301ris", 9, 15)],
    "\ud800 ada \U0001f600(rome)": [("PER", "ada", 2, 5), ("LOC", "rome", 8, 12)],
}


@pytest.mark.parametrize("text", TEXTS)
def test_entities_are_found_in_raw_text(tagger: Model, text: str) -> None:
    (tagged,) = tagger.tag([text])
    assert places(tagged) == TEXTS[text]
    assert all(text[word.start : word.end] == word.text for word in tagged.words)


@pytest.mark.parametrize("text", [text for text in TEXTS if text.isascii()])
def test_entities_are_found_by_tokens_that_begin_with_spaces(space_tagger: Model, text: str) -> None:
    assert places(space_tagger.tag([text])[0]) == TEXTS[text]


def test_texts_without_spaces_are_labelled_as_they_were_learnt(character_tagger: Model, replank: Replank) -> None:
    (tagged,) = character_tagger.tag(["我在北京看书"])
    assert places(tagged) == [("LOC", "北京", 2, 4)]
    assert [word.text for word in tagged.words] == list("我在北京看书")
    done = replank("predict", character_tagger.source.folder, "我在北京看书", "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    (entity,) = answer["entities"]
    assert entity == {"label": "LOC", "text": "北京", "start": 2, "end": 4, "score": entity["score"]}
    assert [word["label"] for word in answer["words"]] == ["O", "O", "B-LOC", "I-LOC", "O", "O"]
    assert [(word["word"], word["start"], word["end"]) for word in answer["words"]][2] == ("北", 2, 3)


def test_raw_words_are_answered_as_evaluation_answers_them(tagger: Model, data: DataConfig) -> None:
    """Of words that are left whole, as are those with marks inside; ``evaluate`` counts the same entities."""
    dataset = data.load(tagger.task)
    examples = dataset.split("dev")
    asked = LabelledExamples(tagger.task, tagger.text_encoder, examples)
    rows = [asked[index] for index in range(len(asked))]
    answers = tagger.token_answers([tokens for tokens, _ in rows])
    wanted = [[tagger.task.labels[i] for i in row[target >= 0]] for row, (_, target) in zip(answers, rows, strict=True)]
    assert {"u.s.", "o'neil", "don't", "3.5", "'s", "..."} <= {word for text in examples.first for word in text.split()}
    for tagged in (tagger.tag(examples.first), tagger.tag([text.split() for text in examples.first])):
        assert [[word.label for word in one.words] for one in tagged] == wanted
        assert [" ".join(word.text for word in one.words) for one in tagged] == list(examples.first)
    assert evaluate(tagger, dataset, "dev").metrics["entity_f1"] > 0.95


def test_a_successor_learns_the_answers_to_words(tagger: Model, data: DataConfig, tmp_path: Path) -> None:
    """Of a training split that says that no word is an entity."""
    write_tagged(tmp_path, ((words, ["O"] * len(words)) for words, _ in sentences(224)))
    config = TheseusConfig(epochs=6, batch_size=16, learning_rate=2e-3, precision="fp32", soft_weight=1)
    assert data.data is not None
    untold = replace(data, data=None, train=tmp_path / "train.jsonl", dev=Path(data.data) / "dev.jsonl")
    made = compress(tagger.source, tmp_path / "successor", config, untold)
    assert evaluate(load_model(open_source(made.path)), data.load(tagger.task), "dev").metrics["entity_f1"] > 0.9


def test_given_words_are_never_cut(tagger: Model) -> None:
    (tagged,) = tagger.tag([["ada,", "New York", "(london)", ""]])
    assert [(word.text, word.start, word.end) for word in tagged.words] == [
        ("ada,", 0, 4), ("New\u00a0York", 5, 13), ("(london)", 14, 22), ("", 23, 23),
    ]  # fmt: skip
    assert tagged.words[-1].label is None
    assert tagger.tag([]) == []
    with pytest.raises(UsageError, match="`texts` is one text"):
        tagger.tag("ada")


def test_words_beyond_the_length_have_no_label(tagger: Model) -> None:
    text = "london, " * 20
    (tagged,) = tagger.tag([text])
    assert [word.text for word in tagged.words] == ["london", ","] * 20
    assert [word.label for word in tagged.words] == ["B-LOC", "O"] * 15 + [None] * 10
    assert len(tagged.entities) == 15


# Labels to entities


def tag_letters(labels: Sequence[str], sequence: str) -> TaggedText:
    """The text "a b c …" with these labels; each is the surer, the later."""
    names = sequence.split()
    task = Task("t", KINDS["token-classification"], tuple(labels), ("tokens",), "tags", ("accuracy",))
    logits = np.array([[(3.0 + at) * (name == label) for label in labels] for at, name in enumerate(names)], np.float32)
    spans = tuple((2 * at, 2 * at + 1) for at in range(len(names)))
    tokens = Tokens([1] * len(names), [0] * len(names), tuple(range(len(names))), spans)
    return tag_text(task, " ".join("abcdefgh"[: len(names)]), tokens, logits)


BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.mark.parametrize(
    ("names", "labels", "entities"),
    [
        (BIO, "O B-PER I-PER O B-PER", [("PER", "b c"), ("PER", "e")]),
        (BIO, "B-PER B-PER I-LOC I-LOC I-PER", [("PER", "a"), ("PER", "b"), ("LOC", "c d"), ("PER", "e")]),
        (BIO, "I-PER O I-PER B-LOC I-LOC", [("PER", "a"), ("PER", "c"), ("LOC", "d e")]),
        (("O", "S-X", "B-X", "E-X"), "S-X B-X E-X O S-X", [("X", "a"), ("X", "b c"), ("X", "e")]),
        (("O", "U-X", "B-X", "I-X", "L-X"), "B-X I-X L-X U-X O", [("X", "a b c"), ("X", "d")]),
        (("O", "PER", "LOC"), "PER PER LOC O LOC", [("PER", "a b"), ("LOC", "c"), ("LOC", "e")]),
        (("NOUN", "VERB"), "NOUN VERB NOUN", []),
    ],
)
def test_labels_make_entities(names: Sequence[str], labels: str, entities: list[tuple[str, str]]) -> None:
    tagged = tag_letters(names, labels)
    assert [word.label for word in tagged.words] == labels.split()
    assert [(entity.label, entity.text) for entity in tagged.entities] == entities
    for entity in tagged.entities:
        # An entity is as sure as its least sure word.
        inside = [word.score for word in tagged.words if entity.start <= word.start < entity.end]
        assert entity == Entity(entity.label, entity.text, entity.start, entity.end, inside[0] or 0.0)
        assert inside == sorted(score or 0.0 for score in inside)
