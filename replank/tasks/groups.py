"""The rows of a split by query and candidate: what ranking is judged on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from replank.system.typed_json import dataclass_from_json, json_values

Integers = NDArray[np.int64]
Ties = Literal["paper", "optimistic", "mean", "pessimistic"]
Unreachable = Literal["last", "skip"]


@dataclass(frozen=True)
class RankingRules:
    """The rules by which candidates are ranked.

    :param ties: what candidates with the right one's scores do to its rank. A candidate's scores are those of its rows,
        in descending order, and are compared like words in a dictionary. ``paper``: one with the very same scores
        stands behind the right one, one where the scores of one begin those of the other stands before it (Zha et al.,
        2022, as released). Otherwise both are ties, which stand behind it, before it, or on either side by chance.
    :param unreachable: the rank of a right candidate without a row: that of the last candidate, or none, so that the
        query does not count.
    """

    ties: Ties = "paper"
    unreachable: Unreachable = "last"


@dataclass(frozen=True, eq=False)
class Groups:
    """The candidates of all queries, one query after the other, and the rows of each candidate.

    :param candidate_of_row: shape ``(rows,)``, the candidate that each row is about.
    :param query_of_candidate: shape ``(candidates,)``, ascending from 0. A candidate may have no row.
    :param is_right: shape ``(candidates,)``.
    :param paths: shape ``(candidates,)``, the number of paths that lead to each in a graph; ``None`` without one.
    """

    candidate_of_row: Integers
    query_of_candidate: Integers
    is_right: NDArray[np.bool_]
    paths: Integers | None = None
    rules: RankingRules = field(default_factory=RankingRules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Groups) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> str:
        """A sha256 over everything."""
        return hashlib.sha256(json.dumps(self.to_json()).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """JSON values: the candidates of each query by their number, the right ones by their places."""
        sizes = np.bincount(self.query_of_candidate, minlength=self.queries)
        return json_values(  # type: ignore[no-any-return]
            _Document(
                tuple(self.candidate_of_row.tolist()),
                tuple(sizes.tolist()),
                tuple(np.flatnonzero(self.is_right).tolist()),
                None if self.paths is None else tuple(self.paths.tolist()),
                self.rules,
            )
        )

    @classmethod
    def from_json(cls, values: Any) -> Groups:
        """The groups that :meth:`to_json` wrote.

        :raises ValueError: a value is missing, of another type, or points nowhere.
        """
        document = dataclass_from_json(_Document, values, "groups")
        if min(document.sizes, default=1) < 1:
            raise ValueError("groups.sizes holds a query without candidates")
        count = sum(document.sizes)
        for name, places in (("rows", document.rows), ("right", document.right)):
            if not 0 <= min(places, default=0) <= max(places, default=0) < count:
                raise ValueError(f"groups.{name} holds a candidate that is none of {count}")
        if document.paths is not None and len(document.paths) != count:
            raise ValueError(f"groups.paths has {len(document.paths)} values; expected {count}")
        is_right = np.zeros(count, dtype=bool)
        is_right[list(document.right)] = True
        return cls(
            np.array(document.rows, dtype=np.int64),
            np.repeat(np.arange(len(document.sizes)), document.sizes),
            is_right,
            None if document.paths is None else np.array(document.paths, dtype=np.int64),
            document.rules,
        )

    @property
    def queries(self) -> int:
        """The number of queries."""
        return int(self.query_of_candidate[-1]) + 1 if len(self.query_of_candidate) else 0

    @property
    def query_of_row(self) -> Integers:
        """Shape ``(rows,)``."""
        return np.asarray(self.query_of_candidate[self.candidate_of_row])

    @property
    def has_row(self) -> NDArray[np.bool_]:
        """Whether each candidate has one, shape ``(candidates,)``."""
        return np.bincount(self.candidate_of_row, minlength=len(self.is_right)) > 0

    @cached_property
    def candidates_by_query(self) -> list[Integers]:
        """The candidates of each query."""
        starts = np.searchsorted(self.query_of_candidate, np.arange(1, self.queries))
        return np.split(np.arange(len(self.query_of_candidate)), starts)

    def reachable(self) -> tuple[NDArray[np.bool_], Integers]:
        """Of each query, whether a right candidate has a row, and how many wrong ones have one."""
        has_row, queries = self.has_row, self.queries
        right, wrong = (
            np.bincount(self.query_of_candidate[has_row & kind], minlength=queries)
            for kind in (self.is_right, ~self.is_right)
        )
        return right > 0, wrong

    def scores_by_candidate(self, scores: NDArray[np.floating]) -> list[list[float]]:
        """The scores of each candidate's rows, the highest first.

        :param scores: shape ``(rows,)``.
        """
        found: list[list[float]] = [[] for _ in self.is_right]
        for row in np.argsort(-scores, kind="stable"):
            found[self.candidate_of_row[row]].append(float(scores[row]))
        return found


@dataclass(frozen=True)
class _Document:
    rows: tuple[int, ...]
    sizes: tuple[int, ...]
    right: tuple[int, ...]
    paths: tuple[int, ...] | None
    rules: RankingRules
