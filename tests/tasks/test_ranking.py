"""Ranks, and what makes them honest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from replank.system.errors import DataError
from replank.tasks.groups import Groups, RankingRules
from replank.tasks.kinds import KINDS
from replank.tasks.metrics import score
from replank.tasks.ranking import baselines, pairs, standing
from replank.tasks.task import Task

TASK = Task(
    "kin", KINDS["relation-prediction"], (), ("question", "context"), "label", ("mrr", "hits@1", "hits@10", "auc_pr")
)


def grouped(*queries: list[list[float]], **rules: Any) -> tuple[Groups, np.ndarray[Any, Any]]:
    """Queries, each with the scores of each candidate's rows; the first candidate is the right one."""
    rows: list[int] = []
    scores: list[float] = []
    query: list[int] = []
    right: list[bool] = []
    for number, candidates in enumerate(queries):
        for place, of_candidate in enumerate(candidates):
            rows += [len(query)] * len(of_candidate)
            scores += of_candidate
            query.append(number)
            right.append(place == 0)
    arrays = (np.array(rows, dtype=np.int64), np.array(query), np.array(right))
    return Groups(*arrays, rules=RankingRules(**rules)), np.array(scores, dtype=np.float32)


def rank(*candidates: list[float], **rules: Any) -> float:
    """The mean rank of the first of some candidates."""
    groups, scores = grouped(list(candidates), **rules)
    found = standing(groups, scores)
    return float((1 + found.before + found.beside / 2)[0])


def test_the_best_path_speaks_for_a_candidate_and_then_the_next() -> None:
    assert rank([1.0, 0.0], [2.0], [0.5, 0.4]) == 2
    assert rank([2.0, 1.0], [2.0, 0.5], [2.0, 1.5]) == 2


def test_without_a_path_the_right_candidate_is_the_last_and_others_are_behind_it() -> None:
    assert rank([], [1.0], [], []) == 4
    assert rank([-9.0], [], []) == 1, "a free hit"
    assert np.isnan(rank([], [1.0], unreachable="skip"))


@pytest.mark.parametrize(
    ("ties", "same", "shorter", "longer"),
    [("paper", 1, 2, 2), ("optimistic", 1, 1, 1), ("pessimistic", 2, 2, 2), ("mean", 1.5, 1.5, 1.5)],
)
def test_ties(ties: str, same: float, shorter: float, longer: float) -> None:
    assert rank([2.0, 1.0], [2.0, 1.0], ties=ties) == same
    assert rank([2.0, 1.0], [2.0], ties=ties) == shorter, "the other's scores begin the right one's"
    assert rank([2.0], [2.0, 1.0], ties=ties) == longer, "the right one's scores begin the other's"


def test_the_metrics_of_some_queries() -> None:
    queries = ([[3.0], [2.0]], [[1.0], [2.0], [3.0]], [[], [1.0], [1.0], [], []])
    groups, scores = grouped(*queries)
    found = score(TASK, scores, groups.is_right[groups.candidate_of_row], groups)
    # Ranks 1, 3 and 5.
    assert found["mrr"] == pytest.approx((1 + 1 / 3 + 1 / 5) / 3)
    assert found["hits@1"] == pytest.approx(1 / 3)
    assert found["hits@10"] == 1.0
    # One wrong candidate each: 3 and 1 and none against 2, 2 and 1.
    expected = average_precision_score([1, 0, 1, 0, 1, 0], [3.0, 2.0, 1.0, 2.0, -1.0, 1.0])
    assert found["auc_pr"] == pytest.approx(expected)
    assert list(pairs(groups, scores).queries) == [0, 0, 1, 1, 2, 2]


def test_queries_that_do_not_count_are_in_no_mean() -> None:
    groups, scores = grouped([[3.0], [2.0]], [[], [1.0]], unreachable="skip")
    assert score(TASK, scores, np.zeros(3), groups)["mrr"] == 1.0


def test_a_split_without_queries_is_refused() -> None:
    with pytest.raises(DataError, match="no queries"):
        score(TASK, np.zeros(3), np.zeros(3))


QUERIES = st.lists(
    st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0]), max_size=2), min_size=1, max_size=4), min_size=1, max_size=4
)


@given(QUERIES)
def test_no_scores_beat_the_ceiling_and_random_scores_are_what_is_said_of_them(
    queries: list[list[list[float]]],
) -> None:
    groups, scores = grouped(*queries)
    limits = baselines(groups)
    found = standing(groups, scores)
    assert found.reciprocal_ranks().mean() <= limits["ceiling"]["mrr"] + 1e-9
    assert found.hits(1).mean() <= limits["ceiling"]["hits@1"] + 1e-9
    # Of all orders of candidates with a row the mean: Hits@1 is 1 of as many.
    chances = []
    for candidates in groups.candidates_by_query:
        there = groups.has_row[candidates]
        chances.append(1 / there.sum() if there[0] else float(len(candidates) == 1))
    assert limits["random order"]["hits@1"] == pytest.approx(np.mean(chances))


def test_most_paths_ranks_by_their_number() -> None:
    groups, _ = grouped([[1.0], [1.0], [1.0]], [[1.0], [1.0]])
    counted = replace(groups, paths=np.array([3, 5, 1, 2, 2]))
    assert baselines(counted)["most paths"]["hits@1"] == pytest.approx((0 + 1 / 2) / 2), "a tie is a coin"
    assert "most paths" not in baselines(groups)


@given(QUERIES)
def test_groups_are_read_as_they_were_written(queries: list[list[list[float]]]) -> None:
    groups, _ = grouped(*queries, ties="mean")
    read = Groups.from_json(groups.to_json())
    assert read.digest == groups.digest
    assert (read.candidate_of_row == groups.candidate_of_row).all()
    assert (read.query_of_candidate == groups.query_of_candidate).all()
    assert (read.is_right == groups.is_right).all()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rows", [9], "none of 2"),
        ("right", [-1], "none of 2"),
        ("sizes", [0, 2], "without candidates"),
        ("paths", [1], "paths"),
    ],
)
def test_groups_that_point_nowhere_are_refused(key: str, value: list[int], message: str) -> None:
    groups, _ = grouped([[1.0], [2.0]])
    with pytest.raises(ValueError, match=message):
        Groups.from_json(groups.to_json() | {key: value})
