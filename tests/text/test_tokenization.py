"""Tokenization: what is truncated, and that no text breaks it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from model_folder import CLS, FILM, GOOD, SEP, THE, UNK
from replank.text import tokenization
from replank.text.tokenization import TextEncoder
from replank.text.unicode import without_lone_surrogates


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
    tokenization._warn_of_truncation.cache_clear()
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


# Odd texts


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
