"""Queries: a triple with one side open, and the candidates for that side, the true one first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from replank.graphs.triples import Triple, numbered_triples
from replank.system.errors import DataError

RANKINGS = ("ranking_head.txt", "ranking_tail.txt")


@dataclass(frozen=True)
class Query:
    """One query.

    :param candidates: the triples that it asks about, which differ in their head or in their tail; the true one first.
        They may repeat.
    """

    candidates: tuple[Triple, ...]

    @property
    def triple(self) -> Triple:
        """The true one."""
        return self.candidates[0]

    def without_copies(self) -> Query:
        """The query with each candidate once."""
        return Query(tuple(dict.fromkeys(self.candidates)))


def read_queries(folder: Path, triples: Sequence[Triple]) -> list[Query] | None:
    """The queries of ``ranking_head.txt``, then those of ``ranking_tail.txt``: blocks of lines, the true one first.

    In the files of GraIL and BERTRL, ``ranking_head`` varies the tail and ``ranking_tail`` the head. The lines tell.

    :param triples: of the test file, which the blocks are in the order of.
    :returns: ``None`` where there are no such files.
    :raises DataError: there is only one of the two, or the lines are no such blocks.
    """
    there = [folder / name for name in RANKINGS if (folder / name).is_file()]
    if not there:
        return None
    if len(there) < len(RANKINGS):
        missing = next(name for name in RANKINGS if not (folder / name).is_file())
        raise DataError(
            f"{folder} has {there[0].name} and no {missing}", hint="give both, or neither: then they are drawn"
        )
    return [query for path in there for query in _read_blocks(path, triples)]


def draw_queries(
    entities: Sequence[str], triples: Sequence[Triple], known: Collection[Triple], count: int, seed: int
) -> list[Query]:
    """Queries for both sides of triples, first those that ask for tails, with candidates drawn at random.

    :param entities: those to draw from, each at most once a query.
    :param known: triples that are true, which are no wrong candidates.
    :param count: of the candidates, the true one included; fewer where the graph is small.
    """
    queries = []
    for side in ("tail", "head"):
        for number, triple in enumerate(triples):
            generator = np.random.default_rng([seed, side == "tail", number])
            drawn = (entities[index] for index in generator.permutation(len(entities)))
            wrong = _wrong(triple, side, drawn, known)
            queries.append(Query((triple, *(other for other, _ in zip(wrong, range(count - 1), strict=False)))))
    return queries


def _wrong(triple: Triple, side: str, entities: Iterator[str], known: Collection[Triple]) -> Iterator[Triple]:
    for entity in entities:
        other = triple._replace(**{side: entity})
        if other != triple and other not in known:
            yield other


def _read_blocks(path: Path, triples: Sequence[Triple]) -> Iterator[Query]:
    lines = list(numbered_triples(path))
    size, rest = divmod(len(lines), len(triples))
    if rest or size < 2:
        raise DataError(
            f"{path} has {len(lines)} lines for {len(triples)} test triples; expected as many, 2 or more, for each",
            hint="the candidates of each test triple, in the order of test.txt, the true one first",
        )
    for number, triple in enumerate(triples):
        block = lines[number * size : (number + 1) * size]
        if block[0][1] != triple:
            raise DataError(
                f"{path}, line {block[0][0]}: expected the test triple {_shown(triple)}, found {_shown(block[0][1])}"
            )
        sides = {"head", "tail"}
        for line, other in block[1:]:
            if other.head != triple.head:
                sides.discard("tail")
            if other.tail != triple.tail:
                sides.discard("head")
            if other.relation != triple.relation or not sides:
                raise DataError(
                    f"{path}, line {line}: {_shown(other)} is no candidate for {_shown(triple)}; expected the same "
                    "relation, and the same side open as in the lines above"
                )
        yield Query(tuple(other for _, other in block))


def _shown(triple: Triple) -> str:
    return " ".join(triple)
