"""What `--debug` shows, and what is shown without it: of this process and of those that it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from commands import Replank, error_lines, run_replank
from replank.benchmarking import process as benchmark_process
from replank.system.environment import machine, versions
from replank.system.errors import ArtifactError

# The worker of a benchmark, which is told something while it loads.
WORKER = """
import logging
import replank.benchmarking.worker as worker

load_model = worker.load_model

def load(*arguments, **settings):
    logging.getLogger("somebody.else").warning("slow here")
    logging.getLogger("replank_export.somewhere").debug("as planned")
    return load_model(*arguments, **settings)

worker.load_model = load
worker.main()
"""


@pytest.mark.parametrize("settings", [{"flag": ["--debug"]}, {"env": {"REPLANK_DEBUG": "1"}}])
def test_debug_shows_where_it_happened(tmp_path: Path, settings: dict[str, Any]) -> None:
    environment = os.environ | settings.get("env", {})
    done = run_replank(*settings.get("flag", []), "inspect", "no/such/folder", env=environment, cwd=tmp_path)
    assert done.code == 1
    lines = done.err.splitlines()
    assert lines[0] == ", ".join(f"{name} {version}" for name, version in versions().items())
    assert lines[1:4] == [str(machine()), "where it happened:", "Traceback (most recent call last):"]
    assert lines[-2:] == [
        "error: there is no folder no/such/folder",
        "hint: expected a model folder or the name of a hub model",
    ]


def test_debug_shows_what_a_message_leaves_out(replank: Replank, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, file: str | None) -> NoReturn:
        try:
            raise ValueError("the true reason")
        except ValueError:
            raise ArtifactError("it is damaged") from None

    monkeypatch.setattr("replank.cli.inspect.open_source", fail)
    assert error_lines(replank("inspect", "x")) == ["error: it is damaged"]
    done = replank("--debug", "inspect", "x")
    assert "ValueError: the true reason" in done.err
    assert done.err.splitlines()[-1] == "error: it is damaged"


def test_debug_reaches_the_processes_of_a_benchmark(tmp_path: Path, replank: Replank) -> None:
    done = replank("--debug", "benchmark", tmp_path)
    assert f"measures {tmp_path} on cpu" in done.err
    # The traceback of the child, and that of the parent, which was told.
    assert done.err.count("where it happened:\nTraceback (most recent call last):") == 2
    assert "/replank/benchmarking/worker.py" in done.err.partition("/replank/cli/")[0]
    assert error_lines(replank("benchmark", tmp_path))[0].startswith(f"error: {tmp_path} is no model folder")


def test_what_the_processes_of_a_benchmark_say_is_shown(
    replank: Replank, monkeypatch: pytest.MonkeyPatch, onnx_artifact: Path
) -> None:
    monkeypatch.setattr(benchmark_process, "_COMMAND", (sys.executable, "-P", "-c", WORKER))
    arguments = ("benchmark", onnx_artifact, "--batch-size", 1, "--length", 8, "--rounds", 1, "--threads", 1)
    done = replank(*arguments)
    assert (done.code, "slow here" in done.err.splitlines(), "as planned" in done.err) == (0, True, False)
    done = replank("--debug", *arguments)
    assert {"slow here", "as planned"} < set(done.err.splitlines())


def test_debug_shows_all_that_a_dead_process_said(replank: Replank, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; [print(n, file=sys.stderr) for n in range(100, 199)]"
    monkeypatch.setattr(benchmark_process, "_COMMAND", (sys.executable, "-P", "-c", code))
    assert "\n100\n101\n" in replank("--debug", "benchmark", "x").err
    assert "100" not in replank("benchmark", "x").err


@pytest.mark.parametrize(("rank", "said"), [("0", True), ("1", False)])
def test_of_several_processes_the_first_speaks(tmp_path: Path, rank: str, said: bool) -> None:
    """Under torchrun, which gives each its rank; an error is everybody's own."""
    address = {"REPLANK_SERVE_PORT": "tcp://10.0.171.239:8080"}
    environment = os.environ | address | {"RANK": rank, "WORLD_SIZE": "2"}
    done = run_replank("serve", "no/such/folder", env=environment, cwd=tmp_path)
    assert ("REPLANK_SERVE_PORT" in done.err) == said
    assert "error: there is no folder no/such/folder\n" in done.err
