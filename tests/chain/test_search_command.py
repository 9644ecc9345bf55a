"""The command `search`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.int8_facts import Int8Facts

pytestmark = pytest.mark.usefixtures("quiet_machine")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "error: no budget given"),
        (
            ("--max-latency", "5"),
            "error: --max-latency is 5; expected a number above 0 with one of the units us",
        ),
        (
            ("--max-bytes", "50furlongs"),
            "error: --max-bytes is 50furlongs; expected a number above 0 with one of",
        ),
        (
            ("--min-throughput", "200"),
            "error: --min-throughput is 200; expected a number above 0 with one of",
        ),
        (("--max-latency", "0ms"), "error: --max-latency is 0ms; expected a number above 0"),
        (("--max-latency", "5ms", "--at", "128"), "error: Invalid value for '--at': '128' is no shape"),
        (("--max-latency", "5ms", "--min-retention", "98"), "error: --min-retention is 98.0; expected a fraction"),
        (("--max-latency", "5ms"), "error: no data given"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_a_usage_error(
    replank: Replank, predecessor: Path, tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    done = replank("search", predecessor, tmp_path / "out", *flags)
    assert done.code == 2
    assert error_lines(done)[0].startswith(message)
    assert not (tmp_path / "out").exists()


def test_the_command_finds_one_and_says_why_the_others_lost(
    replank: Replank, predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    flags = ("--data", data.data, "--text", "sentence", "--max-length", 32, "--epochs", 1, "--at", "1x16")
    done = replank("search", predecessor, tmp_path, *flags, "--max-latency", "10s", "--max-drop", 0.5)
    assert done.code == 0, done.err
    assert f"{tmp_path / 'winner'} is " in done.out
    assert "why it has not won" in done.out
    result = json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))
    finished = {entry["name"]: entry for entry in result["candidates"] if entry["dev"] is not None}
    assert finished[result["winner"]]["dev"] == max(entry["dev"] for entry in finished.values())
    assert all(entry["why"] for name, entry in finished.items() if name != result["winner"])
    assert Artifact.open(tmp_path / "winner").manifest.quality is not None
    assert {name.partition("-")[2] for name in finished} == {"fp32", "int8-dynamic", "int8-static"}
    refused = replank("search", predecessor, tmp_path, *flags, "--max-latency", "1us", "--max-drop", 0.5)
    assert refused.code == 3
    assert "no candidate meets the budget of 0.001 ms at 1x16" in error_lines(refused)[0]


def test_integers_are_a_candidate_where_they_are_asked_for(
    replank: Replank, predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    flags = ("--data", data.data, "--text", "sentence", "--max-length", 32, "--epochs", 1, "--at", "1x16")
    budget = ("--max-bytes", "10MB", "--max-drop", 0.5)
    done = replank("search", predecessor, tmp_path / "out", *flags, *budget, "--schemes", "integer")
    assert done.code == 0, done.err
    result = json.loads((tmp_path / "out" / "search.json").read_text(encoding="utf-8"))
    assert {entry["precision"] for entry in result["candidates"]} == {"fp32", "int8-integer"}
    integer = next(entry for entry in result["candidates"] if entry["name"] == "4-int8-integer")
    estimate, measured = integer["estimate"]["model_bytes"], integer["measured"]["model_bytes"]
    assert estimate == pytest.approx(measured, rel=0.02)
    manifest = Artifact.open(tmp_path / "out" / "4" / "int8-integer").manifest
    assert manifest.made_by.facts_of(Int8Facts).integer is not None
    wrong = replank("search", predecessor, tmp_path / "other", *flags, *budget, "--schemes", "integer,fast")
    assert wrong.code == 2
    assert error_lines(wrong)[0].startswith("error: --schemes is integer,fast; expected some of dynamic, static")
