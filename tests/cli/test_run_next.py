"""What `run` says to do next is what the other commands take."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import click
import pytest

from replank.benchmarking.summary import Summary
from replank.cli.main import cli, command_named
from replank.cli.run import show_chain
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from row_answers import PASSAGES, TWO_CLASSES

PUBLISHED = Path(__file__).parents[2] / "benchmarks/results/quickstart.json"
PAIRS = Task("pairs", KINDS["classification"], ("no", "yes"), ("first", "second"), "label", ("accuracy",))


@pytest.mark.parametrize(
    ("task", "asked"),
    [(TWO_CLASSES, {"texts": 1}), (PAIRS, {"texts": 2}), (PASSAGES, {"texts": 2, "query": "a query"})],
    ids=["text", "pair", "passages"],
)
def test_the_commands_that_it_names_are_understood(
    task: Task, asked: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = Summary.from_json(json.loads(PUBLISHED.read_text(encoding="utf-8")))
    show_chain(tmp_path, replace(summary, task=task), as_json=False)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  replank ")]
    assert [shlex.split(line)[1] for line in lines] == ["predict", "serve"]
    for line in lines:
        name, *arguments = shlex.split(line)[1:]
        params = command_named(name).make_context(name, arguments, parent=click.Context(cli)).params
        if name == "predict":
            assert params["query"] == asked.get("query")
            assert len(params["texts"]) == asked["texts"]
