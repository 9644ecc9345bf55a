"""Copies of training rows with some other words: what they are, and when they are learned."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replank.data.config import DataConfig
from replank.data.examples import Examples
from replank.data.training_examples import EpochRow
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.models.training_facts import TrainingFacts
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import FieldError
from replank.tasks.kinds.learning import IGNORED
from replank_compress.integer.config import IntegerFinetuneConfig
from replank_compress.methods import METHODS
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.soft_labels import SoftLabelsConfig
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.successor import compress
from replank_compress.training.answers import TaughtExamples, compute_answers
from replank_compress.training.perturbed import perturbed_copies
from replank_compress.training.train import Training
from tiny import sentences
from training_runs import SHORT, weights

TEXTS = [text for text, _ in sentences(400, 4)]


@given(st.lists(st.text(), max_size=8), st.floats(0, 1))
def test_a_copy_has_as_many_words_and_its_rows_white_space(texts: list[str], fraction: float) -> None:
    copies = perturbed_copies(Examples(texts, texts[::-1], None), fraction)
    assert copies.labels is None
    for column, other in ((copies.first, texts), (copies.second, texts[::-1])):
        assert column is not None
        words = {word for text in other for word in text.split()}
        for ours, theirs in zip(column, other, strict=True):
            assert re.findall(r"\s+", ours) == re.findall(r"\s+", theirs)
            assert len(ours.split()) == len(theirs.split())
            assert set(ours.split()) <= words
    if fraction == 0:
        assert list(copies.first) == texts


def test_the_fraction_of_words_is_exchanged_for_words_as_often_as_they_occur() -> None:
    copies = perturbed_copies(Examples(TEXTS, None, None), 0.5)
    pairs = [
        pair
        for ours, theirs in zip(copies.first, TEXTS, strict=True)
        for pair in zip(ours.split(), theirs.split(), strict=True)
    ]
    pairs = list(zip(" ".join(copies.first).split(), " ".join(TEXTS).split(), strict=True))
    counts = Counter(word for _, word in pairs)
    # A word may be drawn in its own place.
    same = sum((count / len(pairs)) ** 2 for count in counts.values())
    changed = np.mean([ours != theirs for ours, theirs in pairs])
    assert changed == pytest.approx(0.5 * (1 - same), abs=0.03)
    assert copies == perturbed_copies(Examples(TEXTS, None, None), 0.5)
    common, _ = counts.most_common(1)[0]
    drawn = [ours for ours, theirs in pairs if ours != theirs]
    expected = counts[common] * (1 - counts[common] / len(pairs)) / len(pairs) / (1 - same)
    assert drawn.count(common) / len(drawn) == pytest.approx(expected, abs=0.03)


def test_a_copy_takes_its_rows_place_in_every_other_pass(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    source = open_source(predecessor)
    loaded = data.load(source.task)
    encoder = source.text_encoder(loaded.task)
    training = Training(load_torch_model(source), loaded, encoder, KdConfig(**SHORT), work=tmp_path, title="")
    copies, rows = training.perturbed(1.0), training.examples
    answers = compute_answers(
        load_torch_model(source), loaded.task.kind, [*rows.tokens, *copies], encoder, training.autocast
    )
    taught = training.taught(answers, copies)
    assert len(taught) == len(rows)
    for epoch in range(3):
        for row in range(6):
            tokens, target, answer = taught[EpochRow(epoch, row)]
            is_copy = (epoch + row) % 2 == 1
            assert tokens == (copies if is_copy else rows.tokens)[row]
            assert (target == IGNORED) == is_copy
            np.testing.assert_array_equal(answer, answers[row + len(rows) * is_copy])
    plain = TaughtExamples(rows, loaded.task.kind, answers)
    assert all(plain[EpochRow(1, row)][0] == rows.tokens[row] for row in range(6))


@pytest.fixture(scope="module")
def made(predecessor: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    config = TheseusConfig(**SHORT, layers=2)
    return compress(open_source(predecessor), tmp_path_factory.mktemp("made") / "out", config, data)


def test_the_predecessor_answers_copies_too(
    made: Artifact, predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    without = compress(open_source(predecessor), tmp_path / "out", TheseusConfig(**SHORT, layers=2, perturbed=0), data)
    more, less = (each.manifest.made_by.facts_of(TrainingFacts) for each in (made, without))
    assert more.answers != less.answers
    assert less.layer_steps is not None
    # A pass more of its four layers over the six batches of an epoch.
    assert (more.steps, more.layer_steps) == (less.steps, less.layer_steps + 6 * 4)
    theirs = weights(without.path)
    assert any((ours != theirs[name]).any() for name, ours in weights(made.path).items())


def test_labels_alone_make_no_copies(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    """The paper's method is the same, whatever is asked."""
    config = TheseusConfig(**SHORT, layers=2, soft_weight=0)
    first = compress(open_source(predecessor), tmp_path / "a", config, data)
    second = compress(open_source(predecessor), tmp_path / "b", replace(config, perturbed=0), data)
    theirs = weights(second.path)
    assert all((ours == theirs[name]).all() for name, ours in weights(first.path).items())


def test_which_methods_make_copies() -> None:
    fractions = {name: config().perturbed for name, config in METHODS.items() if issubclass(config, SoftLabelsConfig)}
    assert fractions == {"theseus": 0.15, "kd": 0.15, "pkd": 0.15, "refbert": 0.0}
    assert IntegerFinetuneConfig().perturbed == 0.0
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(FieldError, match=r"`perturbed` is .*; expected 0 to 1"):
            KdConfig(perturbed=wrong)
