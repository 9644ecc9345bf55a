"""A knowledge graph in memory: entities and relations by number, and the edges between neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from replank.graphs.triples import Triple


class Edge(NamedTuple):
    """A triple by the numbers of its entities and its relation."""

    head: int
    relation: int
    tail: int


class Graph:
    """A multigraph whose edges are walked in both directions.

    Numbers are those of the first occurrence in the triples: nothing depends on the hashes of texts.

    :ivar entities: identifiers by number; ``relations`` likewise.
    :ivar edges: the triples by number.
    :ivar links: for each entity its neighbours, each with the edges between the two, in either direction. An edge from
        an entity to itself is on no simple path and links nothing.
    """

    def __init__(self, triples: Iterable[Triple]) -> None:
        self._entity_numbers: dict[str, int] = {}
        self._relation_numbers: dict[str, int] = {}
        self._edge_numbers: dict[Edge, int] = {}
        self.links: list[dict[int, list[int]]] = []
        for triple in triples:
            self._add(triple)
        self.entities: Sequence[str] = list(self._entity_numbers)
        self.relations: Sequence[str] = list(self._relation_numbers)
        self.edges: Sequence[Edge] = list(self._edge_numbers)

    def entity(self, identifier: str) -> int | None:
        """The number of an entity; ``None`` if it is in no triple."""
        return self._entity_numbers.get(identifier)

    def edge(self, triple: Triple) -> int | None:
        """The number of a triple; ``None`` if it is not in the graph."""
        head, tail = self.entity(triple.head), self.entity(triple.tail)
        relation = self._relation_numbers.get(triple.relation)
        if head is None or tail is None or relation is None:
            return None
        return self._edge_numbers.get(Edge(head, relation, tail))

    def triple(self, edge: int) -> Triple:
        """The triple of an edge."""
        head, relation, tail = self.edges[edge]
        return Triple(self.entities[head], self.relations[relation], self.entities[tail])

    def within(self, entity: int, edges: int) -> set[int]:
        """The entities that at most so many edges lead to, the entity itself included."""
        found = frontier = {entity}
        for _ in range(edges):
            frontier = set().union(*(self.links[near] for near in frontier)) - found
            found = found | frontier
        return found

    def _add(self, triple: Triple) -> None:
        head, tail = (self._number_of(entity) for entity in (triple.head, triple.tail))
        relation = self._relation_numbers.setdefault(triple.relation, len(self._relation_numbers))
        edge = Edge(head, relation, tail)
        if edge in self._edge_numbers:
            return
        number = self._edge_numbers[edge] = len(self._edge_numbers)
        if head != tail:
            between = self.links[head].setdefault(tail, [])
            self.links[tail].setdefault(head, between)
            between.append(number)

    def _number_of(self, entity: str) -> int:
        number = self._entity_numbers.setdefault(entity, len(self._entity_numbers))
        if number == len(self.links):
            self.links.append({})
        return number
