"""Paths between entities, against networkx."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replank.graphs.graph import Graph
from replank.graphs.paths import count_paths, simple_paths
from replank.graphs.triples import Triple

TRIPLES = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("rs"), st.sampled_from("abcdef")), min_size=1, max_size=25
)


def truth(triples: list[Triple], start: str, end: str, edges: int) -> list[tuple[Triple, ...]]:
    """The paths that networkx finds; of an edge that is walked backwards, the triple itself."""
    graph = nx.MultiDiGraph()
    for triple in dict.fromkeys(triples):
        graph.add_edge(triple.head, triple.tail, key=(triple, "forwards"))
        graph.add_edge(triple.tail, triple.head, key=(triple, "backwards"))
    if start == end or start not in graph or end not in graph:
        return []
    return [tuple(key[0] for _, _, key in path) for path in nx.all_simple_edge_paths(graph, start, end, cutoff=edges)]


def found(graph: Graph, start: str, end: str, edges: int) -> list[tuple[Triple, ...]]:
    here, there = graph.entity(start), graph.entity(end)
    if here is None or there is None:
        return []
    return [tuple(map(graph.triple, path)) for path in simple_paths(graph, here, there, edges)]


@given(TRIPLES, st.integers(1, 4))
def test_all_simple_paths_are_those_of_networkx_each_once(raw: list[tuple[str, str, str]], edges: int) -> None:
    triples = [Triple(*values) for values in raw]
    graph = Graph(triples)
    for start, end in (("a", "b"), ("b", "a"), ("c", "c"), ("a", "f")):
        paths = found(graph, start, end, edges)
        assert sorted(paths) == sorted(truth(triples, start, end, edges))
        assert [len(path) for path in paths] == sorted(len(path) for path in paths), "the shortest come first"
        if graph.entity(start) is not None and graph.entity(end) is not None:
            numbers = graph.entity(start), graph.entity(end)
            assert count_paths(graph, numbers[0] or 0, numbers[1] or 0, edges) == len(paths)


@given(TRIPLES)
def test_an_edge_that_is_left_out_is_on_no_path_and_all_others_are(raw: list[tuple[str, str, str]]) -> None:
    triples = [Triple(*values) for values in raw]
    graph, left_out = Graph(triples), triples[0]
    start, end = graph.entity(left_out.head), graph.entity(left_out.tail)
    assert start is not None
    assert end is not None
    paths = [
        tuple(map(graph.triple, path)) for path in simple_paths(graph, start, end, 3, without=graph.edge(left_out))
    ]
    everything = truth(triples, left_out.head, left_out.tail, 3)
    assert sorted(paths) == sorted(path for path in everything if left_out not in path)


@given(TRIPLES)
def test_of_paths_with_the_same_relations_only_the_first_is_kept(raw: list[tuple[str, str, str]]) -> None:
    graph = Graph([Triple(*values) for values in raw])
    start, end = graph.entity(raw[0][0]), graph.entity(raw[0][2])
    assert start is not None
    assert end is not None
    every = list(simple_paths(graph, start, end, 3))
    relations = [tuple(graph.edges[edge].relation for edge in path) for path in every]
    firsts = [path for place, path in enumerate(every) if relations.index(relations[place]) == place]
    assert list(simple_paths(graph, start, end, 3, alike=range(len(graph.relations)))) == firsts


def test_numbers_and_texts_of_the_graph_say_the_same() -> None:
    triples = [Triple("a", "r", "b"), Triple("b", "s", "a"), Triple("a", "r", "b"), Triple("c", "r", "c")]
    graph = Graph(triples)
    assert [graph.triple(edge) for edge in range(len(graph.edges))] == list(dict.fromkeys(triples))
    assert graph.edge(Triple("b", "s", "a")) == 1
    assert graph.edge(Triple("b", "r", "a")) is None
    assert graph.edge(Triple("z", "r", "a")) is None


@pytest.mark.parametrize(("edges", "expected"), [(0, "a"), (1, "ab"), (2, "abc"), (3, "abcd")])
def test_what_is_near_is_reached_in_both_directions(edges: int, expected: str) -> None:
    graph = Graph([Triple("a", "r", "b"), Triple("c", "r", "b"), Triple("c", "r", "d"), Triple("e", "r", "d")])
    assert {graph.entities[number] for number in graph.within(0, edges)} == set(expected)
