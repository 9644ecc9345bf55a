"""Texts to batches: what is padded, what is cut, and that no text breaks it."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from replank.system.errors import ModelError
from replank.text import tokenization as text_module
from replank.text.tokenization import (
    INPUT_NAMES,
    Batch,
    TextEncoder,
    read_json,
    save_tokenizer,
    without_lone_surrogates,
)
from tiny import SPECIAL, VOCABULARY, tiny_settings, write_tokenizer

UNK, CLS, SEP = (SPECIAL.index(token) for token in ("[UNK]", "[CLS]", "[SEP]"))
THE, FILM, GOOD = (VOCABULARY.index(word) for word in ("the", "film", "good"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A BERT's folder without its weights."""
    write_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(tiny_settings(type_vocab_size=2)), encoding="utf-8")
    return tmp_path


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(read_json(file) | values), encoding="utf-8")


# Padding


def test_a_batch_is_padded_on_the_right_to_its_longest(folder: Path) -> None:
    encoder = TextEncoder.from_folder(folder, 16)
    batch = encoder.pad(encoder.tokenize(["the", "the good film", ""]))
    ids = [[CLS, THE, SEP, 0, 0], [CLS, THE, GOOD, FILM, SEP], [CLS, SEP, 0, 0, 0]]
    assert batch.input_ids.tolist() == ids
    assert batch.attention_mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    assert batch.token_type_ids is not None
    assert batch.token_type_ids.tolist() == [[0] * 5] * 3
    assert batch.shape == (3, 5)
    assert list(batch.inputs()) == list(INPUT_NAMES)
    assert {value.dtype for value in batch.inputs().values()} == {np.dtype(np.int64)}


def test_pairs_have_two_segments(folder: Path) -> None:
    encoder = TextEncoder.from_folder(folder, 16)
    batch = encoder.pad(encoder.tokenize(["the film", ""], ["good", "the"]))
    assert batch.input_ids.tolist() == [[CLS, THE, FILM, SEP, GOOD, SEP], [CLS, SEP, THE, SEP, 0, 0]]
    assert batch.token_type_ids is not None
    assert batch.token_type_ids.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 0, 0]]


def test_pairs_must_be_complete(folder: Path) -> None:
    with pytest.raises(ValueError, match="shorter than"):
        TextEncoder.from_folder(folder, 16).tokenize(["a", "b"], ["c"])


def test_a_batch_without_segments_has_two_inputs() -> None:
    ones = np.ones((1, 2), dtype=np.int64)
    assert list(Batch(ones, ones).inputs()) == ["input_ids", "attention_mask"]


@pytest.mark.parametrize(
    ("settings", "config", "pad_id"),
    [
        ({"pad_token": "[MASK]"}, {"pad_token_id": 3}, SPECIAL.index("[MASK]")),  # the tokenizer's word wins
        ({"pad_token": {"content": "[PAD]"}}, {"pad_token_id": 3}, 0),
        ({"pad_token": "no such token"}, {"pad_token_id": 3}, 3),  # then the model's
        ({"pad_token": None}, {"pad_token_id": None}, 0),
    ],
)
def test_the_id_of_padding(folder: Path, settings: dict[str, Any], config: dict[str, Any], pad_id: int) -> None:
    change(folder / "tokenizer_config.json", **settings)
    change(folder / "config.json", **config)
    encoder = TextEncoder.from_folder(folder, 16)
    assert encoder.pad(encoder.tokenize(["", "the"])).input_ids[0].tolist() == [CLS, SEP, pad_id]


def test_roberta_is_padded_with_one(tmp_path: Path) -> None:
    """RoBERTa counts positions from its padding's id: zeros would shift them all."""
    tokenizer = Tokenizer(WordLevel({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "hello": 4}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"pad_token": "<pad>"}', encoding="utf-8")
    (tmp_path / "config.json").write_text('{"pad_token_id": 1, "type_vocab_size": 1}', encoding="utf-8")
    encoder = TextEncoder.from_folder(tmp_path, 16)
    batch = encoder.pad(encoder.tokenize(["hello hello", ""], ["hello", ""]))
    assert batch.input_ids.tolist() == [[0, 4, 4, 2, 2, 4, 2], [0, 2, 2, 2, 1, 1, 1]]
    assert batch.token_type_ids is None
    assert encoder.input_names == ("input_ids", "attention_mask")


# Segments


@pytest.mark.parametrize(
    ("names", "types", "segments"),
    [
        (["input_ids", "token_type_ids", "attention_mask"], 1, True),  # the tokenizer's word decides
        (["input_ids", "attention_mask"], 2, False),
        (None, 2, True),  # without it, whether the model knows two segments
        (None, 1, False),
        (None, None, False),
        ([], 2, True),
    ],
)
def test_who_decides_on_segments(folder: Path, names: list[str] | None, types: int | None, segments: bool) -> None:
    if names is not None:
        change(folder / "tokenizer_config.json", model_input_names=names)
    change(folder / "config.json", type_vocab_size=types)
    encoder = TextEncoder.from_folder(folder, 16)
    assert encoder.input_names == (INPUT_NAMES if segments else INPUT_NAMES[:2])
    assert (encoder.pad(encoder.tokenize(["the"])).token_type_ids is not None) == segments


# Truncation


def test_a_long_text_is_cut_and_keeps_its_special_tokens(folder: Path) -> None:
    encoder = TextEncoder.from_folder(folder, 6)
    (tokens,) = encoder.tokenize(["the good film " * 100_000])
    assert tokens.ids == [CLS, THE, GOOD, FILM, THE, SEP]
    assert len(tokens) == encoder.max_length == 6


def test_of_a_pair_the_longer_loses_first(folder: Path) -> None:
    encoder = TextEncoder.from_folder(folder, 9)
    (tokens,) = encoder.tokenize(["the " * 20], ["good film"])
    assert tokens.ids == [CLS, THE, THE, THE, THE, SEP, GOOD, FILM, SEP]
    (tokens,) = encoder.tokenize(["good film"], ["the " * 20])
    assert tokens.ids == [CLS, GOOD, FILM, SEP, THE, THE, THE, THE, SEP]
    assert tokens.type_ids == [0, 0, 0, 0, 1, 1, 1, 1, 1]


def test_truncation_is_said_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    text_module._tell_of_truncation.cache_clear()
    encoder = TextEncoder.from_folder(folder, 4)
    with caplog.at_level(logging.WARNING):
        encoder.tokenize(["the film"])
        assert caplog.messages == []
        encoder.tokenize(["the good film"])
        encoder.tokenize(["the", "the good film"], ["good", "film"])
    assert caplog.messages == ["texts longer than 4 tokens are truncated (said once)"]


def test_settings_saved_with_a_tokenizer_do_not_count(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(length=50, direction="left")
    tokenizer.enable_truncation(3)
    tokenizer.save(str(folder / "tokenizer.json"))
    encoder = TextEncoder.from_folder(folder, 16)
    assert encoder.tokenize(["the good film"])[0].ids == [CLS, THE, GOOD, FILM, SEP]


# Hostile texts


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        (" \t\n", []),
        ("\0", []),  # BERT's normalizer drops control characters
        ("the\0 film", [THE, FILM]),
        ("🚢 the", [UNK, THE]),
        ("the\u2028film", [THE, FILM]),
        ("\ud83d the \udcff", [THE]),
        ("the \ud83d\ude00", [THE]),
        ("\ufffd", []),
        ("THE", [THE]),
        ("日本", [UNK, UNK]),
    ],
)
def test_odd_texts(folder: Path, text: str, ids: list[int]) -> None:
    encoder = TextEncoder.from_folder(folder, 16)
    assert encoder.tokenize([text])[0].ids == [CLS, *ids, SEP]
    assert encoder.tokenize([text], [text])[0].ids == [CLS, *ids, SEP, *ids, SEP]


@given(texts=st.lists(st.text(), min_size=1, max_size=4))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_tokenized_like_itself_alone(folder: Path, texts: list[str]) -> None:
    """Lone surrogates too, which ``st.text()`` draws."""
    encoder = TextEncoder.from_folder(folder, 16)
    batch = encoder.pad(encoder.tokenize(texts))
    for row, text in enumerate(texts):
        alone = encoder.tokenize([text])[0].ids
        assert batch.input_ids[row][batch.attention_mask[row] == 1].tolist() == alone


def test_lone_surrogates_become_replacement_characters() -> None:
    assert without_lone_surrogates("a\ud83db\udfffc😀") == "a\ufffdb\ufffdc😀"


# Folders


def test_saving_a_tokenizer_keeps_it_byte_for_byte(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("target")
    save_tokenizer(folder, target)
    assert (target / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    before, after = (read_json(place / "tokenizer_config.json") for place in (folder, target))
    assert after == before | {"model_input_names": list(INPUT_NAMES)}
    shutil.copyfile(folder / "config.json", target / "config.json")
    again = tmp_path_factory.mktemp("again")
    save_tokenizer(target, again)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (again / name).read_bytes() == (target / name).read_bytes()


def test_a_vocabulary_alone_is_made_a_tokenizer(tmp_path: Path) -> None:
    """As folders from before tokenizer.json hold it; transformers converts."""
    source, target = tmp_path / "source", tmp_path / "target"
    for place in (source, target):
        place.mkdir()
    (source / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    (source / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    config = {"model_type": "bert"} | tiny_settings(type_vocab_size=2)
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_tokenizer(source, target)
    shutil.copyfile(source / "config.json", target / "config.json")
    for place in (source, target):
        encoder = TextEncoder.from_folder(place, 16)
        batch = encoder.pad(encoder.tokenize(["The good film", ""], ["the", ""]))
        assert batch.input_ids.tolist() == [[CLS, THE, GOOD, FILM, SEP, THE, SEP], [CLS, SEP, SEP, 0, 0, 0, 0]]


def test_a_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json") as refusal:
        TextEncoder.from_folder(folder, 16)
    assert refusal.value.hint == "save the tokenizer into the model's folder"


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"model": {"type": "none"}}'])
def test_a_broken_tokenizer_is_named(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=rf"cannot read {folder}/tokenizer\.json"):
        TextEncoder.from_folder(folder, 16)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot read"),
        (b'{"a": ', "cannot read"),
        (b'{"a": "\xe9"}', "cannot read"),
        (b"[" * 100_000, "cannot read"),
        (b"[1]", "holds no JSON object"),
    ],
)
def test_broken_json_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=message) as refusal:
        read_json(tmp_path / "config.json", optional=True)
    assert f"{tmp_path}/config.json" in refusal.value.message


def test_missing_json_is_named_or_empty(tmp_path: Path) -> None:
    assert read_json(tmp_path / "config.json", optional=True) == {}
    with pytest.raises(ModelError, match=rf"{tmp_path} has no config\.json"):
        read_json(tmp_path / "config.json")
