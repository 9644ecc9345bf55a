"""Retrieval: another training text, the most similar by the rule, always the same one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_controls import RandomRetriever
from replank.references.retrieval import (
    NO_REFERENCE,
    RETRIEVERS,
    KeywordRetriever,
    Retriever,
    VectorRetriever,
)

SPECIAL = (0, 1, 2, 3, 4)
TABLE = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)


def texts(*rows: Sequence[int]) -> list[list[int]]:
    return [[2, *row, 3] for row in rows]


def retrievers(references: Sequence[Sequence[int]]) -> list[Retriever]:
    return [
        KeywordRetriever.of(references, SPECIAL),
        VectorRetriever.of(references, SPECIAL, TABLE),
        RandomRetriever(references, seed=1),
    ]


@given(st.lists(st.lists(st.integers(5, 9), min_size=0, max_size=3), min_size=1, max_size=12))
def test_a_reference_is_never_the_text_itself_nor_its_duplicate(rows: list[list[int]]) -> None:
    known = texts(*rows)
    for retriever, again in zip(retrievers(known), retrievers(known), strict=True):
        found = retriever.nearest(known)
        assert found.tolist() == again.nearest(known).tolist()
        assert found.tolist() == [int(again.nearest([text])[0]) for text in known]
        for text, row in zip(known, found, strict=True):
            others = [other for other in known if other != text]
            assert (row == NO_REFERENCE) == (not others)
            assert row == NO_REFERENCE or known[row] != text


def test_rare_words_in_common_make_a_reference() -> None:
    references = texts([5, 6, 7, 20], [5, 6, 7, 21], [5, 6, 7, 22], [8, 21], [5, 6, 7, 8])
    retriever = KeywordRetriever.of(references, SPECIAL)
    assert retriever.nearest(texts([5, 6, 22], [21, 9])).tolist() == [2, 1]
    # Tokens that no reference has, and one beyond all that they have.
    assert retriever.nearest(texts([30, 22], [60, 22])).tolist() == [2, 2]


def test_a_longer_text_is_not_nearer_for_its_length() -> None:
    retriever = KeywordRetriever.of(texts([20, 21, 22, 23, 24, 25], [20, 26], [27, 28]), SPECIAL)
    assert retriever.nearest(texts([20])).tolist() == [1]


def test_vectors_that_point_alike_make_a_reference() -> None:
    table = np.zeros((50, 3), dtype=np.float32)
    table[[10, 11, 12], [0, 1, 2]] = 5
    retriever = VectorRetriever.of(texts([10], [11], [12]), SPECIAL, table)
    assert retriever.nearest(texts([11, 11], [12, 12, 10])).tolist() == [1, 2]


def test_random_references_are_of_every_row_and_by_seed() -> None:
    references = texts(*([5 + index] for index in range(20)))
    asked = texts(*([5 + index, 6] for index in range(30)))
    first, second = (RandomRetriever(references, seed).nearest(asked) for seed in (1, 2))
    assert len(set(first.tolist())) > 8
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("name", list(RETRIEVERS))
def test_a_rule_is_its_arrays(name: str) -> None:
    references = texts(*([index, 5 + index % 7] for index in range(5, 25)))
    rule = next(rule for rule in retrievers(references) if rule.name == name)
    again = RETRIEVERS[name].from_arrays(dict(rule.arrays) | {"others": np.zeros(1)})
    assert again.nearest(references).tolist() == rule.nearest(references).tolist()
    assert list(rule.arrays) == ["identities", *RETRIEVERS[name].parts]


def test_no_order_of_a_text_can_be_read_from_keywords() -> None:
    one, other = (KeywordRetriever.of([row], SPECIAL).arrays["keywords"] for row in ([2, 9, 7, 8, 7], [2, 7, 8, 9]))
    assert one.tolist() == other.tolist() == [7, 8, 9]
