"""Metrics of ranking: of each query's passages in the order of their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of one query: the relevance of each passage, 0 of those that do not fit, and its score; both of shape ``(passages,)``.
PassageMetric = Callable[[NDArray[Any], NDArray[Any]], float]
_DEPTH = 10


def per_query(metric: str, relevances: Sequence[NDArray[Any]], scores: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """A metric of each query, shape ``(queries,)``; NaN of one none of whose passages fits: no order is better there.

    :param metric: one of :data:`PASSAGE_METRICS`.
    """
    measure = PASSAGE_METRICS[metric]
    return np.array(
        [
            measure(relevance, score) if (relevance > 0).any() else np.nan
            for relevance, score in zip(relevances, scores, strict=True)
        ]
    )


def by_query(values: NDArray[Any], queries: NDArray[np.int64]) -> list[NDArray[Any]]:
    """The values of each query's rows, queries in the order of their numbers.

    :param queries: the number of each row's query, each from 0 on; shape ``(rows,)``.
    """
    order = np.argsort(queries, kind="stable")
    return np.split(values[order], np.cumsum(np.bincount(queries))[:-1])


def _ndcg(relevance: NDArray[Any], score: NDArray[Any]) -> float:
    """nDCG@10 with the relevance itself as gain (Järvelin and Kekäläinen, 2002), ties at their mean."""
    from sklearn.metrics import ndcg_score

    return 1.0 if len(relevance) < 2 else float(ndcg_score(relevance[None], score[None], k=_DEPTH))


def _average_precision(relevance: NDArray[Any], score: NDArray[Any]) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(relevance > 0, score))


def _reciprocal_rank(relevance: NDArray[Any], score: NDArray[Any]) -> float:
    """1 / the rank of the first passage that fits, 0 behind the tenth; it comes last of those with its score."""
    fits = relevance > 0
    rank = 1 + int((score[~fits] >= score[fits].max()).sum())
    return 1 / rank if rank <= _DEPTH else 0.0


PASSAGE_METRICS: Mapping[str, PassageMetric] = {
    "ndcg_at_10": _ndcg,
    "mrr_at_10": _reciprocal_rank,
    "map": _average_precision,
}
