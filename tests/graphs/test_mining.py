"""Mined examples: what stands in them, what does not, and that they are the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from family import family_triples, write_family, write_triples
from replank.data.config import DataConfig
from replank.graphs.config import MiningConfig
from replank.graphs.contexts import Contexts
from replank.graphs.graph import Graph
from replank.graphs.linearization import linearize
from replank.graphs.mined_folder import MINED, mine_into, read_mined
from replank.graphs.mining import mine
from replank.graphs.names import Names, read_names
from replank.graphs.negatives import Negatives
from replank.graphs.paths import count_paths
from replank.graphs.triples import Triple, read_triples
from replank.system.errors import ArtifactError, DataError, FieldError, UsageError
from replank.tasks.reasoning import ContextForm, Reasoning

FORM = Reasoning("individual", 3, 1000, distinct=False, relations=())


def contexts_of(triples: list[Triple]) -> Contexts:
    return Contexts(Graph(triples), Names(), FORM)


def test_a_triple_is_on_no_path_of_its_own_context() -> None:
    triples = [Triple(*values) for values in family_triples(4, seed=1)]
    contexts = contexts_of([*triples, *triples])  # a copy would be a way around the rule
    asked = 0
    for triple in triples:
        for row in contexts.rows(triple):
            (path,) = row.paths
            assert triple not in path
            assert f"{triple.head} {triple.relation} {triple.tail};" not in row.context
            asked += 1
    assert asked > len(triples)


def test_without_the_rule_the_triple_would_be_its_own_context() -> None:
    triples = [Triple("a", "r", "b"), Triple("a", "s", "b")]
    graph = Graph(triples)
    assert count_paths(graph, 0, 1, 3) == 2
    assert [row.paths for row in contexts_of(triples).rows(triples[0])] == [((triples[1],),)]
    # A triple the other way round is another fact.
    back = Triple("b", "r", "a")
    assert [row.paths for row in contexts_of([triples[0], back]).rows(triples[0])] == [((back,),)]


def test_the_form_of_question_and_context_is_that_of_the_paper() -> None:
    names = Names({"1": "Ann", "2": "Bo", "3": "Cy"}, {"r": "is a parent of", "s": "lives with"})
    path = (Triple("1", "s", "3"), Triple("2", "r", "3"))
    assert linearize(names, Triple("1", "r", "2"), [path]) == (
        "Question: Ann is a parent of what ? Is the correct answer Bo ?",
        "Context: Ann lives with Cy; Bo is a parent of Cy;",
    )
    assert linearize(names, Triple("1", "r", "2"), [])[1] == ""


def test_entities_of_one_name_are_told_apart_in_a_text() -> None:
    names = Names({"1": "Paris", "2": "Paris", "3": "Ann"})
    question, context = linearize(names, Triple("2", "near", "3"), [[Triple("2", "of", "1"), Triple("3", "in", "1")]])
    assert question == "Question: Paris near what ? Is the correct answer Ann ?"
    assert context == "Context: Paris of Paris 2; Ann in Paris 2;"


def test_wrong_triples_are_near_unknown_new_and_not_too_many() -> None:
    graph = Graph([Triple(*values) for values in family_triples(5, seed=2)])
    negatives, offered = Negatives(graph, 3, seed=0), set()
    for edge in range(len(graph.edges)):
        true, drawn = graph.triple(edge), negatives.draw(edge, 10)
        assert len(drawn) <= 10
        for triple in drawn:
            assert graph.edge(triple) is None
            assert triple not in offered
            assert triple.relation == true.relation
            assert (triple.head == true.head) != (triple.tail == true.tail)
            head, tail = graph.entity(triple.head), graph.entity(triple.tail)
            assert head is not None
            assert tail is not None
            assert tail in graph.within(head, 6)
            offered.add(triple)
    assert len(offered) > len(graph.edges)


def test_a_true_triple_without_a_path_is_met_by_one_wrong_triple(tmp_path: Path) -> None:
    # A chain, in which no edge has a way around it; and a square, in which each has one.
    chain = [(f"k{number}", "next", f"k{number + 1}") for number in range(4)]
    square = [("a", "r", "b"), ("b", "r", "c"), ("c", "r", "d"), ("d", "r", "a")]
    write_triples(tmp_path / "train.txt", chain + square)
    train = mine(tmp_path, MiningConfig()).splits["train"]
    of_chain = [label for question, label in zip(train.questions, train.labels, strict=True) if "k" in question]
    assert 0 < len(of_chain) <= len(chain)
    assert not any(of_chain)


@pytest.mark.parametrize(("form", "rows"), [("individual", 2), ("combined", 1), ("none", 1)])
def test_the_forms_of_context(form: ContextForm, rows: int) -> None:
    triples = [Triple("a", "r", "b"), Triple("a", "s", "c"), Triple("c", "t", "b"), Triple("a", "u", "b")]
    contexts = replace(contexts_of(triples), reasoning=replace(FORM, context=form))
    found = contexts.rows(triples[0])
    assert len(found) == rows
    parts = {"individual": ["Context: a u b;"], "combined": ["Context: a u b; Context: a s c; c t b;"], "none": [""]}
    assert [row.context for row in found][:1] == parts[form]
    assert len(contexts.rows(Triple("a", "r", "stranger"))) == (form == "none")


HASHED = """
import hashlib, sys
from pathlib import Path
from replank.graphs.config import MiningConfig
from replank.graphs.mined_folder import mine_into
mine_into(Path(sys.argv[1]), Path(sys.argv[2]), MiningConfig())
files = sorted(Path(sys.argv[2]).iterdir())
print(*(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files), sep="\\n")
"""


def test_the_examples_are_the_same_under_any_hash_seed(family: Path, tmp_path: Path) -> None:
    outputs = set()
    for seed in ("0", "1", "4711"):
        command = [sys.executable, "-c", HASHED, str(family), str(tmp_path / seed)]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        outputs.add(done.stdout)
    (output,) = outputs
    assert [line.split()[0] for line in output.splitlines()] == ["dev.jsonl", MINED, "test.jsonl", "train.jsonl"]


def test_mined_examples_are_read_as_they_were_written(family: Path, tmp_path: Path) -> None:
    config = MiningConfig(ties="mean", unreachable="skip")
    mined, read = mine_into(family, tmp_path / "examples", config), read_mined(tmp_path / "examples")
    assert read.reasoning == mined.reasoning
    for name, split in mined.splits.items():
        other = read.splits[name]
        assert (other.questions, other.contexts, other.labels) == (split.questions, split.contexts, split.labels)
        assert (other.groups is None) == (split.groups is None) == (name == "train")
        if split.groups is not None and other.groups is not None:
            assert other.groups.digest == split.groups.digest
            assert other.groups.rules == config.rules
    by_mining, by_reading = (
        DataConfig(data=folder, task="relation-prediction").load() for folder in (family, tmp_path / "examples")
    )
    assert by_mining.digests["train"] == by_reading.digests["train"]
    assert by_mining.digests["dev"] != by_reading.digests["dev"], "other rules are other data"


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl", MINED])
def test_a_damaged_example_is_noticed(family: Path, tmp_path: Path, name: str) -> None:
    mine_into(family, tmp_path / "examples", MiningConfig())
    path = tmp_path / "examples" / name
    path.write_bytes(path.read_bytes().replace(b'"', b"'", 1))
    with pytest.raises(ArtifactError, match="damaged"):
        read_mined(tmp_path / "examples")
    with pytest.raises(UsageError, match="not empty"):
        mine_into(family, tmp_path / "examples", MiningConfig())
    mine_into(family, tmp_path / "examples", MiningConfig(), force=True)
    assert read_mined(tmp_path / "examples").splits


def test_what_is_no_examples_is_not_replaced(family: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(UsageError, match="not empty"):
        mine_into(family, tmp_path, MiningConfig(), force=True)


def test_copies_of_the_right_candidate_count_or_do_not(family: Path, tmp_path: Path) -> None:
    graph = write_family(tmp_path / "graph", families=4, seed=3)
    test = read_triples(graph / "test.txt")
    entities = Graph(read_triples(graph / "train.txt")).entities
    for side, name in (("tail", "ranking_head.txt"), ("head", "ranking_tail.txt")):
        blocks = [[triple, triple, *(triple._replace(**{side: entity}) for entity in entities[:3])] for triple in test]
        write_triples(graph / name, [(*triple,) for block in blocks for triple in block])
    sizes = {}
    for duplicates in ("keep", "drop"):
        groups = mine(graph, MiningConfig(duplicates=duplicates)).splits["test"].groups
        assert groups is not None
        assert (groups.queries, int(groups.is_right.sum())) == (2 * len(test), 2 * len(test))
        sizes[duplicates] = np.bincount(groups.query_of_candidate)
    assert set(sizes["keep"]) == {5}
    assert max(sizes["drop"]) == 4


def test_names_are_found_beside_the_graph_or_where_bertrl_has_them(family: Path, tmp_path: Path) -> None:
    assert read_names(family).entity("p0_1") == "p0 1", "up to the first comma"
    graph = tmp_path / "kin_ind"
    graph.mkdir()
    assert read_names(graph).entity("p0_1") == "p0_1"
    (tmp_path / "text" / "KIN237").mkdir(parents=True)
    for name in ("entity2text.txt", "relation2text.txt"):
        (tmp_path / "text" / "KIN237" / name).write_bytes((family / name).read_bytes())
    assert read_names(graph).relation("lives_in") == "lives in"


# Bad input


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    for line in ("a r b", "a\tr", "a\tr\tb\tc", "a\t \tb"):
        (tmp_path / "train.txt").write_text(f"a\tr\tb\n\nb\tr\tc\n{line}\n", encoding="utf-8")
        with pytest.raises(DataError, match=r"train\.txt, line 4: expected head, relation and tail"):
            read_triples(tmp_path / "train.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no triples"),
        (b"\n\n", "holds no triples"),
        (b"a\tr\tb\n\xff\tr\tb\n", "line 2 is not UTF-8"),
        (b"a\tr\t" + b"b" * 20_000, "line 1 is longer than"),
    ],
)
def test_what_is_no_graph_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        mine(tmp_path, MiningConfig())


def test_a_graph_too_large_for_memory_is_refused_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replank.graphs.triples.MAX_TRIPLES", 10)
    write_triples(tmp_path / "train.txt", [(str(number), "r", "b") for number in range(10)])
    assert len(read_triples(tmp_path / "train.txt")) == 10
    with (tmp_path / "train.txt").open("a", encoding="utf-8") as file:
        file.write("a\tr\tb\nno triple, and not reached\n")
    with pytest.raises(DataError, match="more than 10 lines; a graph of that size does not fit into memory"):
        read_triples(tmp_path / "train.txt")


def test_candidates_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    graph = write_family(tmp_path / "graph")
    test = [(*triple,) for triple in read_triples(graph / "test.txt")]
    rankings = {name: graph / f"ranking_{name}.txt" for name in ("head", "tail")}

    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            mine(graph, MiningConfig())

    good = [(head, relation, other) for head, relation, tail in test for other in (tail, "p0_0")]
    write_triples(rankings["head"], good)
    refused("has ranking_head.txt and no ranking_tail.txt")
    write_triples(rankings["tail"], good[:-1])
    refused(r"ranking_tail.txt has \d+ lines for \d+ test triples")
    write_triples(rankings["tail"], [good[1], good[0], *good[2:]])
    refused("line 1: expected the test triple")
    write_triples(rankings["tail"], [good[0], ("x", good[0][1], "y"), *good[2:]])
    refused("line 2: x .* y is no candidate for")


def test_settings_out_of_range_are_refused() -> None:
    for name, value in (("max_edges", 5), ("max_edges", 0), ("candidates", 1), ("ties", "lucky"), ("context", "all")):
        values: dict[str, Any] = {name: value}
        with pytest.raises(FieldError, match=name):
            MiningConfig(**values)


def test_a_folder_without_a_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no graph"):
        DataConfig(data=tmp_path, task="relation-prediction").load()
    with pytest.raises(UsageError, match="needs a graph"):
        DataConfig(train=tmp_path / "train.tsv", task="relation-prediction").load()
    with pytest.raises(UsageError, match="`text` is a setting of tables"):
        DataConfig(data=tmp_path, text="text", task="relation-prediction").load()


def test_facts_of_any_file_are_no_wrong_candidates_of_the_test(tmp_path: Path) -> None:
    """Where candidates are drawn, what valid.txt or another line of test.txt says is right too."""
    folder = write_family(tmp_path / "family")
    names = read_names(folder)
    facts = [triple for name in ("train", "valid", "test") for triple in read_triples(folder / f"{name}.txt")]
    right = {linearize(names, triple, ())[0] for triple in facts}
    mined = mine(folder, MiningConfig(context="none")).splits["test"]
    wrong = [question for question, label in zip(mined.questions, mined.labels, strict=True) if not label]
    assert wrong
    assert not right & set(wrong)
