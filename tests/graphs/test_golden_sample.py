"""BERTRL's released examples, and the counts of its protocol, on the graphs that they were made of."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from replank.graphs.config import MiningConfig
from replank.graphs.contexts import Contexts
from replank.graphs.graph import Graph
from replank.graphs.mining import Mined, mine
from replank.graphs.names import read_names
from replank.graphs.paths import simple_paths
from replank.graphs.queries import Query, read_queries
from replank.graphs.triples import read_triples
from replank.tasks.reasoning import Reasoning

GRAPHS = Path(__file__).parents[3] / "shared" / "data" / "kg"
pytestmark = pytest.mark.skipif(not GRAPHS.is_dir(), reason=f"there are no graphs in {GRAPHS}")
# Reference: queries; of them without a path to the right one; Hits@1 ceiling; free hits; wrong candidates with a path;
# and of random order and of most paths Hits@1; MRR of most paths.
PROTOCOL = {
    "WN18RR_ind": (376, 66, 0.824, 0.346, 0.92, 0.541, 0.494, 0.633),
    "fb237_ind": (410, 122, 0.702, 0.078, 7.0, 0.177, 0.292, 0.396),
    "WN18RR": (1276, 378, 0.704, 0.336, 0.96, None, None, None),
    "fb237": (984, 72, 0.927, 0.021, 25.4, None, None, None),
}


@pytest.fixture(scope="module")
def mined() -> Mined:
    return mine(GRAPHS / "fb237", MiningConfig(triples="train_1000.txt", test_graph=GRAPHS / "fb237_ind"))


@pytest.fixture(scope="module")
def released() -> dict[str, list[tuple[str, str]]]:
    """The released test rows by query and candidate."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    lines = (GRAPHS / "golden_fb237_1000" / "test.tsv").read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        _, identifier, _, question, context = line.split("\t")
        groups[identifier].append((question, context))
    return groups


def test_the_training_split_has_as_many_positive_rows(mined: Mined) -> None:
    lines = (GRAPHS / "golden_fb237_1000" / "train.tsv").read_text(encoding="utf-8").splitlines()
    assert sum(mined.splits["train"].labels) == 385 == sum(line.startswith("1\t") for line in lines)


def test_the_test_split_reaches_the_same_candidates_by_as_many_contexts(mined: Mined) -> None:
    test = mined.splits["test"]
    assert test.groups is not None
    has_row, is_right = test.groups.has_row, test.groups.is_right
    assert (int((has_row & is_right).sum()), int((has_row & ~is_right).sum())) == (288, 2873)
    assert len(test) == 8086


def test_every_released_context_is_found_and_every_group_has_as_many(
    released: dict[str, list[tuple[str, str]]],
) -> None:
    graph, names = Graph(read_triples(GRAPHS / "fb237_ind" / "train.txt")), read_names(GRAPHS / "fb237_ind")
    everything = Contexts(graph, names, Reasoning("individual", 3, 10**6, distinct=False, relations=()))
    by_name = Contexts(graph, names, Reasoning("individual", 3, 10**6, distinct=True, relations=()))
    queries = read_queries(GRAPHS / "fb237_ind", read_triples(GRAPHS / "fb237_ind" / "test.txt"))
    assert queries is not None
    contexts = groups = same_by_identifier = 0
    for number, query in enumerate(queries):
        for place, triple in enumerate(query.candidates):
            identifier = f"test-neg-{number}-{place - 1}" if place else f"test-pos-{number}"
            ours = {(row.question, row.context) for row in everything.rows(triple)}
            contexts += sum(row in ours for row in released.get(identifier, []))
            assert len(by_name.rows(triple)) == len(released.get(identifier, [])), identifier
            groups += identifier in released
            start, end = graph.entity(triple.head), graph.entity(triple.tail)
            if start is not None and end is not None and identifier in released:
                by_identifier = simple_paths(graph, start, end, 3, alike=range(len(graph.relations)))
                same_by_identifier += len(list(by_identifier)) == len(released[identifier])
    assert contexts == 8086
    # Two pairs of relations have one text each: nine groups differ where identifiers are compared.
    assert (groups, same_by_identifier) == (3152 + 9, 3152)


@pytest.mark.parametrize("name", PROTOCOL)
def test_the_ceilings_of_the_protocol(name: str) -> None:
    graph = GRAPHS / name
    config = MiningConfig(train_questions=50, dev_questions=1)
    mined = mine(graph, config).splits["test"]
    assert mined.groups is not None
    queries, without, ceiling, free, others, random, most, most_mrr = PROTOCOL[name]
    facts = mined.facts()
    assert (facts["queries"], facts["true triple without a path"]) == (queries, without)
    assert facts["hits@1 of ceiling"] == pytest.approx(ceiling, abs=6e-4)
    assert facts["no other candidate has a path"] / queries == pytest.approx(free, abs=6e-4)
    assert facts["wrong candidates with a path, a query"] == pytest.approx(others, abs=0.06)
    expected = {"hits@1 of random order": random, "hits@1 of most paths": most, "mrr of most paths": most_mrr}
    for fact, value in expected.items():
        assert value is None or facts[fact] == pytest.approx(value, abs=6e-4), fact


@pytest.mark.parametrize("name", PROTOCOL)
def test_the_files_of_candidates_vary_the_side_that_their_names_do_not_say(name: str) -> None:
    test = read_triples(GRAPHS / name / "test.txt")
    queries = read_queries(GRAPHS / name, test)
    assert queries is not None
    assert {len(query.candidates) for query in queries} == {50}
    assert [query.triple for query in queries] == [*test, *test]
    sides = [_side(query) for query in queries]
    assert sides == ["tail"] * len(test) + ["head"] * len(test)


def _side(query: Query) -> str:
    heads = {triple.head for triple in query.candidates}
    return "tail" if len(heads) == 1 else "head"
