"""Questions to a graph: candidates, and what cannot be asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from replank.graphs.knowledge import KnowledgeGraph
from replank.system.errors import DataError, UsageError
from replank.tasks.reasoning import Reasoning

TAUGHT = Reasoning("individual", 3, 30, distinct=True, relations=("is a parent of", "lives in", "never seen here"))


@pytest.fixture(scope="module")
def knowledge(family: Path) -> KnowledgeGraph:
    return KnowledgeGraph.open(family)


def test_the_best_path_speaks_for_a_candidate_and_is_shown(knowledge: KnowledgeGraph) -> None:
    asked = knowledge.ask(TAUGHT, "p0 0", "lives in", "?")
    scores = np.linspace(0.1, 0.9, len(asked.rows))
    ranked = asked.ranked(scores, top=1000)
    assert len(ranked) == len(set(asked.triples))
    assert [triple.score for triple in ranked] == sorted((triple.score for triple in ranked), reverse=True)
    best, row = ranked[0], asked.rows[-1]
    assert best.score == pytest.approx(0.9)
    assert (best.head, best.relation) == ("p0 0", "lives in")
    assert f"Is the correct answer {best.tail} ?" in row.question
    assert row.context == f"Context: {' '.join(f'{head} {relation} {tail};' for head, relation, tail in best.path)}"
    assert len(asked.ranked(scores, top=3)) == 3


def test_any_part_may_be_open_and_names_and_identifiers_are_understood(knowledge: KnowledgeGraph) -> None:
    assert {triple.head for triple in knowledge.ask(TAUGHT, "P0 0", "parent_of", "?").triples} == {"p0_0"}
    assert {triple.tail for triple in knowledge.ask(TAUGHT, "?", "is a parent of", "c0 0").triples} == {"c0_0"}
    relations = {triple.relation for triple in knowledge.ask(TAUGHT, "p0 0", "?", "c0_1").triples}
    assert relations == {"parent_of", "lives_in", "never seen here"}
    (only,) = set(knowledge.ask(TAUGHT, "p0 0", "is a parent of", "c0 0").triples)
    assert only == ("p0_0", "parent_of", "c0_0")


def test_candidates_are_those_with_the_most_paths(knowledge: KnowledgeGraph) -> None:
    everyone = set(knowledge.ask(TAUGHT, "p0 0", "lives in", "?", most=1000).triples)
    few = set(knowledge.ask(TAUGHT, "p0 0", "lives in", "?", most=2).triples)
    assert len(few) == 2 < len(everyone)
    assert few < everyone


@pytest.mark.parametrize(
    ("question", "message", "hint"),
    [
        (("p0 9", "lives in", "?"), "has no entity 'p0 9'", "the nearest: p0 "),
        (("p0 0", "lives", "?"), "never taught the relation 'lives'", "the nearest: lives in"),
        (("p0 0", "sibling_of", "?"), "never taught the relation 'sibling_of'", None),
        (("?", "lives in", "?"), "more than one", "name two"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    knowledge: KnowledgeGraph, question: tuple[str, str, str], message: str, hint: str | None
) -> None:
    with pytest.raises((DataError, UsageError), match=message) as refused:
        knowledge.ask(TAUGHT, *question)
    assert hint is None or hint in str(refused.value.hint)


def test_without_a_path_there_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a\tlives in\tb\nc\tlives in\td\n", encoding="utf-8")
    with pytest.raises(DataError, match="no path of up to 3 edges leads from 'a' to 'd'"):
        KnowledgeGraph.open(tmp_path).ask(TAUGHT, "a", "lives in", "d")


def test_a_name_of_several_entities_is_asked_by_identifier(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("1\tlives in\t2\n3\tlives in\t2\n", encoding="utf-8")
    (tmp_path / "entity2text.txt").write_text("1\tAnn, a baker\n3\tAnn, a judge\n2\tBonn\n", encoding="utf-8")
    with pytest.raises(DataError, match="2 entities of the graph are called 'Ann'") as refused:
        KnowledgeGraph.open(tmp_path).ask(TAUGHT, "Ann", "lives in", "?")
    assert refused.value.hint == "ask by identifier: 1, 3"
