"""Metrics of ranking, query by query, and what is reached without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from replank.tasks.groups import Groups, Ties

Floats = NDArray[np.float64]


class Standing(NamedTuple):
    """The place of each query's right candidate among the others, shape ``(queries,)`` each.

    :param before: the number of candidates that stand before it; NaN where the query does not count.
    :param beside: the number of those that stand before it or behind it by chance.
    """

    before: Floats
    beside: Floats

    def hits(self, most: int) -> Floats:
        """The probability that it is among so many first ones."""
        return np.asarray(np.clip((most - self.before) / (self.beside + 1), 0, 1))

    def reciprocal_ranks(self) -> Floats:
        """1 divided by the mean of its possible ranks, which are counted from 1."""
        return np.asarray(1 / (1 + self.before + self.beside / 2))


# A standing to a value of each query.
QueryMetric = Callable[[Standing], Floats]
# The metrics that are a mean over queries.
QUERY_METRICS: Mapping[str, QueryMetric] = {
    "mrr": Standing.reciprocal_ranks,
    "hits@1": lambda standing: standing.hits(1),
    "hits@10": lambda standing: standing.hits(10),
}


def standing(groups: Groups, scores: NDArray[np.floating]) -> Standing:
    """Where the scores of rows put the right candidates; of several of a query, the best.

    :param scores: shape ``(rows,)``.
    """
    lists = groups.scores_by_candidate(scores)
    places = [_place(groups, lists, candidates) for candidates in groups.candidates_by_query]
    before, beside = np.array(places, dtype=np.float64).reshape(-1, 2).T
    return Standing(before, beside)


def mean_over_queries(values: Floats) -> float:
    """The mean of a value of each query, without those that do not count."""
    counted = values[~np.isnan(values)]
    return float(counted.mean()) if len(counted) else 0.0


class Pairs(NamedTuple):
    """The first right and the first wrong candidate of each query: GraIL's test of telling them apart.

    :param is_right: shape ``(pairs' candidates,)``, as the others.
    :param scores: the highest of a candidate's rows; of one without any, less than all.
    :param queries: whose candidate it is.
    """

    is_right: NDArray[np.bool_]
    scores: Floats
    queries: NDArray[np.int64]


def pairs(groups: Groups, scores: NDArray[np.floating]) -> Pairs:
    """A right and a wrong candidate of each query, with their scores.

    :param scores: shape ``(rows,)``.
    """
    chosen: list[int] = []
    for candidates in groups.candidates_by_query:
        for wanted in (groups.is_right[candidates], ~groups.is_right[candidates]):
            chosen += [int(candidates[wanted.argmax()])] if wanted.any() else []
    best = np.full(len(groups.is_right), np.min(scores, initial=0.0) - 1.0)
    np.maximum.at(best, groups.candidate_of_row, scores)
    return Pairs(groups.is_right[chosen], best[chosen], groups.query_of_candidate[chosen])


def baselines(groups: Groups) -> dict[str, dict[str, float]]:
    """What metrics mean little without: the most that can be reached, and what is reached without a model.

    :returns: metrics of the ``ceiling``, where each right candidate that has a row is the first; of the mean of all
        random orders of the candidates that have one; and, where paths were counted, of the order by their number.
    """
    places = {"ceiling": _by_score(groups, groups.is_right.astype(np.float64))}
    if groups.paths is not None:
        places["most paths"] = _by_score(groups, groups.paths.astype(np.float64))
    found = {
        name: {metric: mean_over_queries(value(place)) for metric, value in QUERY_METRICS.items()}
        for name, place in places.items()
    }
    by_chance = _by_score(groups, np.zeros(len(groups.is_right)))
    metrics = {metric: mean_over_queries(value(by_chance)) for metric, value in QUERY_METRICS.items()}
    # Of a random order the mean of reciprocal ranks is known, not that of a mean rank alone.
    chances = [
        np.mean(1 / np.arange(1 + before, 2 + before + beside)) if before == before else np.nan
        for before, beside in zip(*by_chance, strict=True)
    ]
    return found | {"random order": metrics | {"mrr": mean_over_queries(np.array(chances))}}


def _by_score(groups: Groups, scores: Floats) -> Standing:
    """The standing where each candidate that has a row has one score, and ties stand on either side by chance.

    :param scores: shape ``(candidates,)``.
    """
    there = np.flatnonzero(groups.has_row)
    alone = replace(groups, candidate_of_row=there, rules=replace(groups.rules, ties="mean"))
    return standing(alone, scores[there])


def _place(groups: Groups, lists: Sequence[list[float]], candidates: NDArray[np.int64]) -> tuple[float, float]:
    right: list[float] = max((lists[index] for index in candidates if groups.is_right[index]), default=[])
    if not right:
        return (len(candidates) - 1.0, 0.0) if groups.rules.unreachable == "last" else (np.nan, 0.0)
    before = beside = 0
    for other in (lists[index] for index in candidates if not groups.is_right[index]):
        if not other:
            continue
        shorter = min(len(other), len(right))
        if other[:shorter] != right[:shorter]:
            before += other > right
        elif groups.rules.ties == "mean":
            beside += 1
        else:
            before += _ties_before(groups.rules.ties, is_same=other == right)
    return float(before), float(beside)


def _ties_before(ties: Ties, *, is_same: bool) -> bool:
    return ties == "pessimistic" or (ties == "paper" and not is_same)
