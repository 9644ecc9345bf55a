"""Paths between two entities: all simple ones up to a number of edges, the shortest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from math import prod

from replank.graphs.graph import Graph

# The edges of a path by number, in the order in which they are walked.
Path = tuple[int, ...]


def simple_paths(
    graph: Graph,
    start: int,
    end: int,
    max_edges: int,
    *,
    without: int | None = None,
    alike: Sequence[int] | None = None,
) -> Iterator[Path]:
    """The paths from one entity to another that pass no entity twice.

    They come by length, then by the order of the graph's triples: some of the first are the same in every process.

    :param without: an edge that no path uses, in neither direction.
    :param alike: for each relation what it has in common with those that are like it, such as a number for its text:
        of paths with the same sequence of these, whatever their directions, only the first. ``None``: all paths.
    """
    seen: set[tuple[int, ...]] = set()
    edges = graph.edges
    for between in _edges_between(graph, start, end, max_edges, without):
        for path in product(*between):
            if alike is not None:
                relations = tuple([alike[edges[edge].relation] for edge in path])
                if relations in seen:
                    continue
                seen.add(relations)
            yield path


def count_paths(graph: Graph, start: int, end: int, max_edges: int, *, without: int | None = None) -> int:
    """The number of :func:`simple_paths`, far sooner than by walking them."""
    return sum(prod(map(len, between)) for between in _edges_between(graph, start, end, max_edges, without))


def _edges_between(
    graph: Graph, start: int, end: int, max_edges: int, without: int | None
) -> Iterator[list[list[int]]]:
    """For each simple path of entities, the edges that each of its steps may take."""
    if start == end:
        return
    links = graph.links
    for length in range(1, max_edges + 1):
        for middle in _middles(links, start, end, length, frozenset((start, end))):
            between = [links[here][there] for here, there in pairwise((start, *middle, end))]
            if without is not None:
                between = [[edge for edge in step if edge != without] for step in between]
            if all(between):
                yield between


def _middles(
    links: list[dict[int, list[int]]], start: int, end: int, length: int, passed: frozenset[int]
) -> Iterator[tuple[int, ...]]:
    """The entities between two, of all ways of so many edges that pass none twice."""
    if length == 1:
        if end in links[start]:
            yield ()
    elif length == 2:
        # In C, and over the smaller of both: most of the time is spent here.
        for middle in sorted(links[start].keys() & links[end].keys()):
            if middle not in passed:
                yield (middle,)
    else:
        for middle in links[start]:
            if middle not in passed:
                for rest in _middles(links, middle, end, length - 1, passed | {middle}):
                    yield (middle, *rest)
