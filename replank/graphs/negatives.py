"""Wrong triples for training: one side of a true one replaced by an entity that is near both."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from replank.graphs.graph import Graph
from replank.graphs.triples import Triple


class Negatives:
    """Draws from a graph, none of which comes twice.

    :param max_edges: how far an entity may be from head and from tail.
    """

    def __init__(self, graph: Graph, max_edges: int, seed: int) -> None:
        self._graph, self._max_edges, self._seed = graph, max_edges, seed
        self._offered: set[Triple] = set()

    def draw(self, edge: int, count: int) -> list[Triple]:
        """Wrong triples for a true one; fewer than asked where there are no more.

        :param edge: the true one's number.
        """
        found = list(islice(self._shuffled(edge), count))
        self._offered.update(found)
        return found

    def _shuffled(self, edge: int) -> Iterator[Triple]:
        graph, true, numbers = self._graph, self._graph.triple(edge), self._graph.edges[edge]
        near = graph.within(numbers.head, self._max_edges) & graph.within(numbers.tail, self._max_edges)
        others = sorted(near - {numbers.head, numbers.tail})
        for place in np.random.default_rng([self._seed, edge]).permutation(2 * len(others)):
            entity = graph.entities[others[place // 2]]
            triple = true._replace(tail=entity) if place % 2 else true._replace(head=entity)
            if graph.edge(triple) is None and triple not in self._offered:
                yield triple
