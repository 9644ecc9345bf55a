"""Entities that labels make: the schemes, and whole entities as seqeval counts them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB2, IOBES, Entities

from replank.system.errors import DataError
from replank.tasks.entities import entity_scheme
from replank.tasks.kinds import KINDS
from replank.tasks.metrics import score
from replank.tasks.task import Task

KIND = KINDS["token-classification"]


def labels_of(letters: str, types: Sequence[str] = ("PER", "LOC")) -> tuple[str, ...]:
    return ("O", *(f"{letter}-{kind}" for letter, kind in product(letters, types)))


def spans(labels: Sequence[str], sequence: str) -> Sequence[tuple[str, int, int]]:
    scheme = entity_scheme(tuple(labels))
    assert scheme is not None
    return list(scheme.spans([None if label == "None" else label for label in sequence.split()]))


@pytest.mark.parametrize(
    ("labels", "sequence", "expected"),
    [
        (labels_of("BI"), "O B-PER I-PER B-PER O", [("PER", 1, 3), ("PER", 3, 4)]),
        (labels_of("BI"), "I-PER I-LOC B-LOC I-PER", [("PER", 0, 1), ("LOC", 1, 2), ("LOC", 2, 3), ("PER", 3, 4)]),
        (labels_of("BI"), "B-PER None I-PER", [("PER", 0, 1), ("PER", 2, 3)]),
        (labels_of("I"), "I-PER I-PER O I-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        (labels_of("BIES"), "S-PER B-LOC I-LOC E-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 4), ("LOC", 4, 5)]),
        (labels_of("BILU"), "U-PER B-LOC I-LOC L-LOC L-LOC", [("PER", 0, 1), ("LOC", 1, 4), ("LOC", 4, 5)]),
        (labels_of("BMES"), "S-PER S-PER B-LOC M-LOC E-LOC O", [("PER", 0, 1), ("PER", 1, 2), ("LOC", 2, 5)]),
        (labels_of("BMEW"), "W-PER B-LOC E-LOC O", [("PER", 0, 1), ("LOC", 1, 3)]),
        (labels_of("S"), "S-PER S-PER O", [("PER", 0, 1), ("PER", 1, 2)]),
        # No O at all; other cases and separators; suffixes; types with hyphens.
        (("B-PER", "I-PER"), "B-PER I-PER B-PER", [("PER", 0, 2), ("PER", 2, 3)]),
        (("o", "b-per", "i-per"), "b-per i-per o", [("per", 0, 2)]),
        (("O", "B_PER", "I_PER"), "O B_PER I_PER", [("PER", 1, 3)]),
        (("O", "PER-B", "PER-I"), "O PER-B PER-I PER-B", [("PER", 1, 3), ("PER", 3, 4)]),
        (("O", "PER_B", "PER_S"), "PER_B PER_S", [("PER", 0, 1), ("PER", 1, 2)]),
        (("O", "B-creative-work", "I-creative-work"), "B-creative-work I-creative-work", [("creative-work", 0, 2)]),
        # Without types, as of keyphrases and of Chinese words.
        (("B", "I", "O"), "B I O I", [("_", 0, 2), ("_", 3, 4)]),
        (("B", "E", "M", "S"), "S B M E B E", [("_", 0, 1), ("_", 1, 4), ("_", 4, 6)]),
        # Plain labels, with letters that are none, and one beside labels with letters.
        (("LOC", "O", "PER"), "PER PER LOC O LOC", [("PER", 0, 2), ("LOC", 2, 3), ("LOC", 4, 5)]),
        (("E-mail", "O"), "E-mail E-mail O", [("E-mail", 0, 2)]),
        (("B-cell", "O", "protein"), "B-cell B-cell protein", [("B-cell", 0, 2), ("protein", 2, 3)]),
        (("B", "O"), "B B O", [("B", 0, 2)]),
        (("L", "M", "O", "S"), "L L S", [("L", 0, 2), ("S", 2, 3)]),
        (("O", "X", "B-PER", "I-PER"), "X X B-PER I-PER", [("X", 0, 2), ("PER", 2, 4)]),
    ],
)  # fmt: skip
def test_a_scheme_is_told_by_the_names_of_labels(
    labels: Sequence[str], sequence: str, expected: list[tuple[str, int, int]]
) -> None:
    assert spans(labels, sequence) == expected
    assert KIND.default_metrics(labels) == ("entity_f1", "accuracy")


@pytest.mark.parametrize("labels", [("NOUN", "VERB"), ("0", "1"), ("DET", "X", "B"), ("correct", "incorrect")])
def test_labels_that_make_no_entities(labels: tuple[str, ...]) -> None:
    assert entity_scheme(labels) is None
    assert KIND.default_metrics(labels) == ("accuracy", "macro_f1")
    task = Task("t", KIND, labels, ("tokens",), "tags", ("entity_f1",))
    with pytest.raises(DataError, match=f"the labels {labels[0]}, {labels[1]}.* make no entities"):
        score(task, [np.array([0])], [np.array([0])])


def test_the_scheme_is_said() -> None:
    assert KIND.describe(labels_of("BI")).endswith("for each word, entities by B, I")
    assert KIND.describe(labels_of("BILU")).endswith("for each word, entities by B, I, L, U")
    assert KIND.describe(("LOC", "O")) == "2 labels (LOC, O) for each word, entities by runs of a label"
    assert KIND.describe(("NOUN", "VERB")) == "2 labels (NOUN, VERB) for each word, no entities"


def texts(labels: Sequence[str]) -> st.SearchStrategy[list[tuple[list[str], list[str]]]]:
    """The true and the predicted labels of some texts."""
    word = st.tuples(st.sampled_from(labels), st.sampled_from(labels))
    text = st.lists(word, min_size=1, max_size=10)
    return st.lists(text.map(lambda words: ([a for a, _ in words], [b for _, b in words])), min_size=1, max_size=4)


def entity_f1(labels: tuple[str, ...], truth: Sequence[list[str]], predicted: Sequence[list[str]]) -> float:
    task = Task("t", KIND, labels, ("tokens",), "tags", ("entity_f1",))
    rows = [[np.array([labels.index(label) for label in row]) for row in side] for side in (predicted, truth)]
    return score(task, rows[0], rows[1])["entity_f1"]


@pytest.mark.parametrize("letters", ["BI", "BIES"])
@given(data=st.data())
def test_spans_and_f1_are_those_of_seqeval(letters: str, data: st.DataObject) -> None:
    """Of any labels, in its mode that follows the script of CoNLL-2003."""
    labels = labels_of(letters)
    truth, predicted = map(list, zip(*data.draw(texts(labels)), strict=True))
    for row in truth:
        expected = [(kind, first, last + 1) for kind, first, last in get_entities(row)]
        assert spans(labels, " ".join(row)) == expected
    assert entity_f1(labels, truth, predicted) == pytest.approx(f1_score(truth, predicted, zero_division=0))


@pytest.mark.parametrize(("letters", "same"), [("BILU", "BIES"), ("BMEW", "BIES")])
@given(data=st.data())
def test_other_letters_of_the_same_scheme_count_alike(letters: str, same: str, data: st.DataObject) -> None:
    labels, others = labels_of(letters), labels_of(same)
    truth, predicted = map(list, zip(*data.draw(texts(labels)), strict=True))
    renamed = dict(zip(labels, others, strict=True))
    both = [[[renamed[label] for label in row] for row in side] for side in (truth, predicted)]
    assert entity_f1(labels, truth, predicted) == entity_f1(others, both[0], both[1])


@pytest.mark.parametrize(("letters", "scheme"), [("BI", IOB2), ("BIES", IOBES), ("BILU", BILOU)])
@given(words=st.lists(st.tuples(st.sampled_from(["O", "PER", "LOC"]), st.integers(1, 4)), min_size=1, max_size=8))
def test_of_labels_without_faults_the_strict_reading_is_the_same(
    letters: str, scheme: Any, words: list[tuple[str, int]]
) -> None:
    begin, inside, end, single = tuple({"BI": "BIIB", "BIES": "BIES", "BILU": "BILU"}[letters])
    row: list[str] = []
    for kind, length in words:
        places = single if length == 1 else begin + inside * (length - 2) + end
        row += ["O"] * length if kind == "O" else [f"{place}-{kind}" for place in places]
    strict = [(entity.tag, entity.start, entity.end) for entity in Entities([row], scheme=scheme).entities[0]]
    assert spans(labels_of(letters), " ".join(row)) == strict
