"""What a masked LM proposes: one pass a text, whole words only, and combinations of pieces that are ranked."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from replank.models.source import open_source
from replank.robustness.config import AttackConfig
from replank.robustness.masked_lm import MaskedLm
from replank.robustness.proposals import Proposals
from replank.robustness.stop_words import STOP_WORDS
from replank.robustness.words import Words
from replank.runtime.load import load_model
from tiny import BAD, FILLER, GOOD


@pytest.fixture(scope="module")
def proposer(masked_lm: Path) -> MaskedLm:
    source = open_source(masked_lm)
    model = load_model(source, task=replace(source.task, max_length=64), threads=1)
    return MaskedLm(model, 48, ranks_in_context=True)


def test_pieces_are_words_or_parts_of_words(proposer: MaskedLm) -> None:
    vocabulary, encoder = proposer.vocabulary, proposer.model.text_encoder
    found = {
        encoder.token(piece): vocabulary.whole_word(piece, is_first=False) for piece in range(encoder.vocabulary_size)
    }
    words = {*FILLER, *GOOD, *BAD, *"abcdefghijklmnopqrstuvwxyz"}
    assert {name for name, word in found.items() if word is not None} == words
    parts = {
        name
        for piece in range(encoder.vocabulary_size)
        if vocabulary.continues(piece) and (name := encoder.token(piece))
    }
    assert parts == {f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"}


def test_single_pieces_are_the_predictions_of_one_pass(proposer: MaskedLm) -> None:
    passes = proposer.passes
    predictions = proposer.read(["the", "good", "film"])
    logits = proposer.model.predictor(proposer.model.text_encoder.pad([predictions.tokens]))[0]
    for place in range(3):
        candidates = proposer.candidates(predictions, place)
        best = [proposer.model.text_encoder.token(int(piece)) for piece in np.argsort(-logits[place + 1])[:48]]
        assert candidates == [word for word in best if word and not word.startswith(("##", "["))]
    assert proposer.passes == passes + 1


def test_predictions_do_not_depend_on_padding(proposer: MaskedLm) -> None:
    """A text alone, and padded beside a longer one."""
    encoder = proposer.model.text_encoder
    short, long = encoder.tokenize(["a good film", "a good film is the very lovely music with it"])
    alone = proposer.model.predictor(encoder.pad([short]))[0]
    padded = proposer.model.predictor(encoder.pad([short, long]))[0, : len(short)]
    assert alone == pytest.approx(padded, abs=1e-5)


def test_combinations_are_ranked_by_their_loss_in_context(proposer: MaskedLm) -> None:
    words = ["the", "cat", "is", "good"]  # c ##a ##t
    predictions = proposer.read(words)
    candidates = proposer.candidates(predictions, 1)
    assert 1 < len(candidates) <= 24
    losses = proposer.losses_in_context(words, 1, candidates)
    assert losses == sorted(losses)
    encoder = proposer.model.text_encoder
    read = [tokens.ids[1:-1] for tokens in encoder.tokenize(candidates)]
    assert {len(pieces) for pieces in read} == {3}
    # Not the last pieces alone vary, as in the released code.
    assert any(len({pieces[place] for pieces in read}) > 1 for place in range(2))


def test_a_word_of_twelve_pieces_is_bounded(proposer: MaskedLm) -> None:
    predictions = proposer.read(["the", "abcdefghijkl", "film"])
    passes = proposer.passes
    candidates = proposer.candidates(predictions, 1)
    assert 0 < len(candidates) <= 24
    assert proposer.passes - passes <= 24


def test_the_likeliest_combinations_are_those_of_all(proposer: MaskedLm) -> None:
    """Against every product of a word of two pieces."""
    predictions = proposer.read(["the", "xy", "film"])
    places = proposer.vocabulary.places(predictions.tokens, 1)
    found = proposer._likeliest(predictions, places)
    every = sorted(
        (float(one + other), [int(first), int(second)])
        for first, one in zip(predictions.top[places[0]], predictions.losses[places[0]], strict=True)
        for second, other in zip(predictions.top[places[1]], predictions.losses[places[1]], strict=True)
        if not proposer.vocabulary.continues(int(first)) and proposer.vocabulary.continues(int(second))
    )
    assert found == [pieces for _, pieces in every[:24]]


def test_the_released_combinations_vary_the_last_pieces_first(masked_lm: Path) -> None:
    source = open_source(masked_lm)
    released = MaskedLm(load_model(source, threads=1), 48, ranks_in_context=False)
    predictions = released.read(["the", "abcdef", "film"])
    places = released.vocabulary.places(predictions.tokens, 1)
    firsts = {int(piece) for piece in predictions.top[places[0], :1]}
    encoder = released.model.text_encoder
    candidates = released.candidates(predictions, 1)
    assert len(candidates) <= 24
    # Of six pieces the first three are always the likeliest ones.
    begin = encoder.decode([int(predictions.top[place, 0]) for place in places[:3]]).strip()
    assert all(candidate.startswith(begin) for candidate in candidates)
    assert len(firsts) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has no words"),
        ("?! ...", "it has no words"),
        ("the the and is", "it has stop words only"),
        ("фильм хороший", "the masked LM knows none of its words"),
        ("電影", "the masked LM knows none of its words"),
    ],
)
def test_a_text_without_words_to_replace_says_why(proposer: MaskedLm, text: str, reason: str) -> None:
    assert Proposals(Words.of(text), proposer, AttackConfig(), None).why_none == reason


@pytest.mark.parametrize("as_released", [False, True])
def test_stop_words_and_parts_of_words_are_neither_replaced_nor_inserted(proposer: MaskedLm, as_released: bool) -> None:
    config = AttackConfig(as_released=as_released)
    text = "the good cat is with a lovely abcd film and it"
    words = Words.at_spaces(text) if as_released else Words.of(text)
    proposed = Proposals(words, proposer, config, None)
    attacked = [words[place] for place in proposed.places]
    assert attacked == ["good", "cat", "lovely", "abcd", "film"]
    for place in proposed.places:
        for candidate in proposed.candidates(place):
            assert candidate not in STOP_WORDS
            assert "##" not in candidate
            assert candidate != words[place]


def test_the_last_word_and_a_word_alone_are_attacked_but_by_the_released_code(proposer: MaskedLm) -> None:
    assert Proposals(Words.of("film"), proposer, AttackConfig(), None).places == [0]
    assert Proposals(Words.of("the good"), proposer, AttackConfig(), None).places == [1]
    released = AttackConfig(as_released=True)
    assert Proposals(Words.at_spaces("the good"), proposer, released, None).places == []


def test_words_behind_what_the_masked_lm_reads_are_left_alone(proposer: MaskedLm) -> None:
    """5,000 words, of which it reads 64 tokens."""
    proposed = Proposals(Words.of(" ".join(["good"] * 5000)), proposer, AttackConfig(), None)
    assert 0 < len(proposed.places) <= 62
    assert max(proposed.places) < 62


def test_other_stop_words_take_the_place_of_the_english_ones(proposer: MaskedLm) -> None:
    proposed = Proposals(Words.of("the Good film"), proposer, AttackConfig(stop_words=("good",)), None)
    assert proposed.places == [0, 2]
    assert "good" not in proposed.candidates(0)


def test_a_guard_keeps_out_what_is_not_like_the_word(proposer: MaskedLm) -> None:
    def guard(word: str, candidates: object) -> list[bool]:
        return [candidate[0] == "f" for candidate in candidates]  # type: ignore[attr-defined]

    plain = Proposals(Words.of("the good film"), proposer, AttackConfig(), None).candidates(1)
    guarded = Proposals(Words.of("the good film"), proposer, AttackConfig(), guard).candidates(1)
    assert guarded == [word for word in plain if word[0] == "f"]
    assert guarded


def test_more_predictions_begin_with_fewer(masked_lm: Path) -> None:
    model = load_model(open_source(masked_lm), threads=1)
    found = []
    for count in (4, 8, 16, 48):
        proposer = MaskedLm(model, count, ranks_in_context=True)
        found.append(proposer.candidates(proposer.read(["the", "good", "film"]), 1))
    for fewer, more in pairwise(found):
        assert more[: len(fewer)] == fewer
    assert len(found[-1]) > len(found[0])
