"""`replank predict MODEL --graph FOLDER`, and `mine`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

from commands import Replank, error_lines
from replank.graphs.mined_folder import read_mined


def test_candidates_come_with_the_path_that_spoke(replank: Replank, relation_model: Path, family: Path) -> None:
    question = ("p0 0", "is a parent of", "?")
    done = replank("predict", relation_model, "--graph", family, "--top", 3, *question)
    assert (done.code, done.err) == (0, "")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert len(rows) == 3
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), reverse=True)
    for score, head, relation, tail, state, path in rows:
        assert (0 < float(score) < 1, head, relation) == (True, "p0 0", "is a parent of")
        assert f"p0_0\tparent_of\t{tail.replace(' ', '_')}\n" in (family / "train.txt").read_text() or state == "new"
        first, last = path.split("; ")[0], path.rstrip(";").split("; ")[-1]
        assert "p0 0" in first
        assert tail in last
    found = [
        json.loads(line)
        for line in replank("predict", relation_model, "--graph", family, "--json", *question).out.splitlines()
    ]
    assert [f"{answer['score']:.4f}" for answer in found[:3]] == [row[0] for row in rows]
    assert all(answer["path"] for answer in found)


def test_what_cannot_be_asked_is_one_clear_error(
    replank: Replank, relation_model: Path, predecessor: Path, family: Path
) -> None:
    for model, texts, expected in (
        (relation_model, ("p0 9", "lives in", "?"), "has no entity 'p0 9'"),
        (relation_model, ("p0 0", "likes", "?"), "never taught the relation 'likes'"),
        (relation_model, ("p0 0", "lives in"), "2 texts with --graph"),
        (predecessor, ("p0 0", "lives in", "?"), "a graph is asked of a model that judges triples"),
    ):
        done = replank("predict", model, "--graph", family, *texts)
        assert done.code in (1, 2)
        assert expected in error_lines(done)[0]
        assert done.out == ""
    assert "--top needs --graph" in replank("predict", relation_model, "--top", 3, "a").err


def test_mined_examples_tell_what_makes_metrics_honest(replank: Replank, family: Path, tmp_path: Path) -> None:
    done = replank("mine", family, tmp_path / "examples", "--json", "--max-edges", 2, "--seed", 7)
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert set(facts) == {"train", "dev", "test"}
    assert read_mined(tmp_path / "examples").reasoning.max_edges == 2
    test = facts["test"]
    assert test["hits@1 of random order"] <= test["hits@1 of ceiling"] <= 1
    reached = 1 - test["true triple without a path"] / test["queries"]
    assert abs(test["hits@1 of ceiling"] - reached) < 1e-9
    assert "not empty" in replank("mine", family, tmp_path / "examples").err


def test_a_broken_graph_is_named_by_its_line(replank: Replank, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a\tr\tb\nno triple\n", encoding="utf-8")
    done = replank("mine", tmp_path, tmp_path / "out")
    assert "train.txt, line 2: expected head, relation and tail" in error_lines(done)[0]
    assert not (tmp_path / "out").exists()
