"""Padding of batches: on which side, with which id, and with or without token_type_ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from model_folder import ADDED, CLS, FILM, GOOD, SEP, THE, change
from replank.text.padding import INPUT_NAMES, Batch
from replank.text.tokenization import TextEncoder
from tiny import SPECIAL


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


def test_pairs_have_two_token_types(folder: Path) -> None:
    encoder = TextEncoder.from_folder(folder, 16)
    batch = encoder.pad(encoder.tokenize(["the film", ""], ["good", "the"]))
    assert batch.input_ids.tolist() == [[CLS, THE, FILM, SEP, GOOD, SEP], [CLS, SEP, THE, SEP, 0, 0]]
    assert batch.token_type_ids is not None
    assert batch.token_type_ids.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 0, 0]]


def test_pairs_must_be_complete(folder: Path) -> None:
    with pytest.raises(ValueError, match="shorter than"):
        TextEncoder.from_folder(folder, 16).tokenize(["a", "b"], ["c"])


def test_a_batch_without_token_type_ids_has_two_inputs() -> None:
    ones = np.ones((1, 2), dtype=np.int64)
    assert list(Batch(ones, ones).inputs()) == ["input_ids", "attention_mask"]


@pytest.mark.parametrize(
    ("settings", "config", "pad_id"),
    [
        ({"pad_token": "[MASK]"}, {"pad_token_id": 3}, SPECIAL.index("[MASK]")),  # the tokenizer's word wins
        ({"pad_token": {"content": "[PAD]"}}, {"pad_token_id": 3}, 0),
        ({"pad_token": "new"}, {"pad_token_id": 3}, ADDED),  # transformers adds it
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
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    settings = '{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"}'
    (tmp_path / "tokenizer_config.json").write_text(settings, encoding="utf-8")
    (tmp_path / "config.json").write_text('{"pad_token_id": 1, "type_vocab_size": 1}', encoding="utf-8")
    encoder = TextEncoder.from_folder(tmp_path, 16)
    batch = encoder.pad(encoder.tokenize(["hello hello", ""], ["hello", ""]))
    assert batch.input_ids.tolist() == [[0, 4, 4, 2, 2, 4, 2], [0, 2, 2, 2, 1, 1, 1]]
    assert batch.token_type_ids is None
    assert encoder.input_names == ("input_ids", "attention_mask")


@pytest.mark.parametrize(
    ("names", "types", "taken"),
    [
        (["input_ids", "token_type_ids", "attention_mask"], 1, True),  # the tokenizer's word decides
        (["input_ids", "attention_mask"], 2, False),
        (None, 2, True),  # without it, whether the model has two types
        (None, 1, False),
        (None, None, False),
        ([], 2, True),
    ],
)
def test_who_decides_on_token_type_ids(folder: Path, names: list[str] | None, types: int | None, taken: bool) -> None:
    if names is not None:
        change(folder / "tokenizer_config.json", model_input_names=names)
    change(folder / "config.json", type_vocab_size=types)
    encoder = TextEncoder.from_folder(folder, 16)
    assert encoder.input_names == (INPUT_NAMES if taken else INPUT_NAMES[:2])
    assert (encoder.pad(encoder.tokenize(["the"])).token_type_ids is not None) == taken
