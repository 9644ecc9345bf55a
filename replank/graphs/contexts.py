"""Triples to rows for a model: a question with one path, or several, as its context."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from replank.graphs.graph import Graph
from replank.graphs.linearization import linearize
from replank.graphs.names import Names
from replank.graphs.paths import count_paths, simple_paths
from replank.graphs.triples import Triple
from replank.tasks.reasoning import Reasoning


class Row(NamedTuple):
    """What a model reads.

    :param paths: those that the context tells.
    """

    question: str
    context: str
    paths: tuple[tuple[Triple, ...], ...]


@dataclass(frozen=True)
class Contexts:
    """A graph that gives contexts to questions.

    The triple that is asked about is on no path of its own context, in neither direction.
    """

    graph: Graph
    names: Names
    reasoning: Reasoning

    def rows(self, asked: Triple, most: int | None = None) -> list[Row]:
        """The rows of a candidate; none where no path leads to it.

        :param most: rows, at most; those of the model's form by default.
        """
        if self.reasoning.context == "none":
            return [self._row(asked, ())]
        paths = self.paths(asked, self.reasoning.paths_asked)
        if self.reasoning.context == "combined":
            return [self._row(asked, paths)] if paths else []
        return [self._row(asked, (path,)) for path in paths[:most]]

    def paths(self, asked: Triple, most: int) -> tuple[tuple[Triple, ...], ...]:
        """The first paths between head and tail, the shortest first."""
        start, end = self.graph.entity(asked.head), self.graph.entity(asked.tail)
        if start is None or end is None:
            return ()
        found = simple_paths(
            self.graph, start, end, self.reasoning.max_edges, without=self.graph.edge(asked), alike=self._alike
        )
        return tuple(tuple(map(self.graph.triple, path)) for path in islice(found, most))

    def count(self, asked: Triple) -> int:
        """The number of all paths between head and tail."""
        start, end = self.graph.entity(asked.head), self.graph.entity(asked.tail)
        if start is None or end is None:
            return 0
        return count_paths(self.graph, start, end, self.reasoning.max_edges, without=self.graph.edge(asked))

    @cached_property
    def _alike(self) -> list[int] | None:
        return self.names.alike(self.graph.relations) if self.reasoning.distinct else None

    def _row(self, asked: Triple, paths: tuple[tuple[Triple, ...], ...]) -> Row:
        return Row(*linearize(self.names, asked, paths), paths)
