"""Metrics of ranking, on orders whose values are worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from replank.system.errors import DataError
from replank.tasks.metrics import score
from replank.tasks.retrieval import by_query, per_query
from row_answers import PASSAGES, answers

# The relevant ones of four passages are second and fourth.
RELEVANCE = np.array([0, 1, 1, 0])
SCORES = np.array([9.0, 1.0, 5.0, 4.0])
WORKED_OUT = {
    "ndcg_at_10": (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3)),
    "mrr_at_10": 1 / 2,
    "map": (1 / 2 + 2 / 4) / 2,
}


@pytest.mark.parametrize("metric", WORKED_OUT)
def test_an_order_that_is_worked_out(metric: str) -> None:
    assert per_query(metric, [RELEVANCE], [SCORES]).tolist() == pytest.approx([WORKED_OUT[metric]])
    assert per_query(metric, [RELEVANCE], [RELEVANCE.astype(float)]).tolist() == pytest.approx([1.0])


def test_a_first_hit_behind_the_tenth_place_counts_nothing() -> None:
    scores = np.arange(12, 0, -1.0)
    assert per_query("mrr_at_10", [np.eye(12)[9]], [scores]).tolist() == [0.1]
    assert per_query("mrr_at_10", [np.eye(12)[10]], [scores]).tolist() == [0.0]


def test_of_equal_scores_the_one_that_fits_comes_last() -> None:
    assert per_query("mrr_at_10", [np.array([1, 0, 0])], [np.zeros(3)]).tolist() == [1 / 3]


def test_queries_without_a_fitting_passage_do_not_count() -> None:
    truth = [[0, 1], [0, 0], [1]]
    found = answers(PASSAGES, [[1, 0], [1, 0], [0.1]], truth)
    assert score(PASSAGES, found.predicted, found.truth)["mrr_at_10"] == pytest.approx((1 / 2 + 1) / 2)
    nothing = answers(PASSAGES, [[1, 0]], [[0, 0]])
    with pytest.raises(DataError, match="no query has a passage with a label above 0"):
        score(PASSAGES, nothing.predicted, nothing.truth)


def test_rows_of_a_query_need_not_stand_together() -> None:
    groups = by_query(np.array([1, 2, 3, 4]), np.array([0, 1, 0, 2]))
    assert [group.tolist() for group in groups] == [[1, 3], [2], [4]]
