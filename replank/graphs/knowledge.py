"""A graph that a person asks: head, relation and tail, one of them open, and the candidates with their paths."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from replank.graphs.contexts import Contexts, Row
from replank.graphs.graph import Graph
from replank.graphs.mining import GRAPH
from replank.graphs.names import Names, read_names
from replank.graphs.triples import Triple, read_triples
from replank.system.errors import DataError, FieldError, UsageError
from replank.tasks.reasoning import Reasoning

OPEN = "?"
# Candidates that a model judges, those with the most paths.
MOST_CANDIDATES = 200
# Of each candidate: more of them say the same at length.
_MOST_ROWS = 3


@dataclass(frozen=True)
class RankedTriple:
    """A candidate with the path that spoke for it.

    :param head: its name; ``relation`` and ``tail`` likewise.
    :param score: the probability that it is right, by its best path.
    :param is_known: whether the graph holds it.
    :param path: the names of head, relation and tail of each edge; empty where the question stood alone.
    """

    head: str
    relation: str
    tail: str
    score: float
    is_known: bool
    path: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Asked:
    """The rows of a question for a model, each with the triple that it is about."""

    rows: list[Row]
    triples: list[Triple]
    knowledge: KnowledgeGraph

    def ranked(self, scores: NDArray[np.floating], top: int) -> list[RankedTriple]:
        """The best candidates, each by its best row.

        :param scores: probabilities of being right, shape ``(rows,)``.
        """
        found: dict[Triple, RankedTriple] = {}
        for index in np.argsort(-scores, kind="stable"):
            triple = self.triples[index]
            if triple not in found:
                found[triple] = self.knowledge.ranked(triple, float(scores[index]), self.rows[index])
        return list(found.values())[:top]


@dataclass(frozen=True)
class KnowledgeGraph:
    """A graph with names."""

    graph: Graph
    names: Names

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> KnowledgeGraph:
        """Read the graph of a folder: its train.txt, and its names.

        :raises DataError: there is none, or a line is no triple.
        """
        return cls(Graph(read_triples(Path(folder) / GRAPH)), read_names(Path(folder)))

    def ask(self, reasoning: Reasoning, head: str, relation: str, tail: str, most: int = MOST_CANDIDATES) -> Asked:
        """The rows of a question.

        :param reasoning: the form that the model was taught.
        :param head: a name or an identifier, or ``?``; ``relation`` and ``tail`` likewise.
        :param most: candidates, at most.
        :raises UsageError: more than one is open.
        :raises DataError: the graph has no such entity, the model was never taught the relation, or no path leads to
            any candidate.
        """
        if [head, relation, tail].count(OPEN) > 1:
            raise UsageError(f"more than one of head, relation and tail is {OPEN!r}", hint="name two of the three")
        if most < 1:
            raise FieldError("most", most, "1 or more")
        known = [None if entity == OPEN else self._entity(entity) for entity in (head, tail)]
        relations = self._taught(reasoning) if relation == OPEN else [self._relation(reasoning, relation)]
        contexts = Contexts(self.graph, self.names, reasoning)
        rows: list[Row] = []
        triples: list[Triple] = []
        for triple in self._candidates(contexts, known, relations, most):
            found = contexts.rows(triple, _MOST_ROWS)
            rows += found
            triples += [triple] * len(found)
        if not rows:
            raise DataError(
                f"no path of up to {reasoning.max_edges} edges leads from {head!r} to {tail!r}"
                if OPEN not in (head, tail)
                else f"no path leads to any entity from {tail if head == OPEN else head!r}",
                hint="the model answers from paths of the graph alone",
            )
        return Asked(rows, triples, self)

    def ranked(self, triple: Triple, score: float, row: Row) -> RankedTriple:
        """A candidate by its names."""
        path = tuple(self._named(edge) for edges in row.paths for edge in edges)
        return RankedTriple(*self._named(triple), score, self.graph.edge(triple) is not None, path)

    def _candidates(
        self, contexts: Contexts, known: list[str | None], relations: Sequence[str], most: int
    ) -> Iterator[Triple]:
        head, tail = known
        if head is not None and tail is not None:
            yield from (Triple(head, relation, tail) for relation in relations)
            return
        asked = head if head is not None else str(tail)
        number = self.graph.entity(asked)
        near = sorted(self.graph.within(number or 0, contexts.reasoning.max_edges) - {number})
        triples = [
            Triple(asked, relations[0], entity) if head is not None else Triple(entity, relations[0], asked)
            for entity in (self.graph.entities[index] for index in near)
        ]
        if len(triples) > most:
            triples = sorted(triples, key=contexts.count, reverse=True)[:most]
        yield from triples

    def _entity(self, asked: str) -> str:
        return self.names.find_entity(asked, self.graph.entities)

    @cached_property
    def _relation_of_name(self) -> dict[str, str]:
        return {self.names.relation(relation).casefold(): relation for relation in reversed(self.graph.relations)}

    def _taught(self, reasoning: Reasoning) -> list[str]:
        """The relations that a model was taught, by the graph's identifiers where it has them, else by their names."""
        return [self._relation_of_name.get(name.casefold(), name) for name in reasoning.relations]

    def _relation(self, reasoning: Reasoning, asked: str) -> str:
        name = self.names.relation(asked).strip().casefold()
        taught = {known.casefold(): known for known in reasoning.relations}
        if name not in taught:
            near = get_close_matches(name, taught, n=3, cutoff=0.4)
            raise DataError(
                f"the model was never taught the relation {asked!r}",
                hint=f"the nearest: {', '.join(taught[other] for other in near)}"
                if near
                else f"it was taught {len(taught)}, such as {', '.join(reasoning.relations[:3])}",
            )
        return self._relation_of_name.get(name, taught[name])

    def _named(self, triple: Triple) -> tuple[str, str, str]:
        names = self.names
        return names.entity(triple.head), names.relation(triple.relation), names.entity(triple.tail)
