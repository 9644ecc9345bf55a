"""An end by Ctrl-C or SIGTERM loses nothing."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from commands import Replank, replank_process
from replank.cli.command import Command
from replank.cli.main import COMMANDS, command_named
from replank.cli.predict import _STDIN_BATCH
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from waiting import until


def test_an_interrupted_training_resumes_and_finishes(
    replank: Replank, caplog: pytest.LogCaptureFixture, encoder: Path, data: DataConfig, tmp_path: Path
) -> None:
    command = ["finetune", encoder, tmp_path / "out", "--data", data.data, "--epochs", 10, "--batch-size", 8]
    with replank_process(*command) as process:
        until(lambda: list(tmp_path.glob("out.work/checkpoint-*/trainer_state.json")) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert "stopping after this step, with a checkpoint; press Ctrl-C again to stop at once" in err.splitlines()
    assert err.splitlines()[-1] == "interrupted; the same command goes on where it stopped"
    assert [path.name for path in tmp_path.iterdir()] == ["out.work"]
    newest = max(tmp_path.glob("out.work/checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    assert int(newest.name.rpartition("-")[2]) < 240, "the training had ended already"

    done = replank(*command, "--json")
    assert done.code == 0, done.err
    assert caplog.messages[0] == f"resuming from {newest}"
    assert json.loads(done.out)["made_by"]["steps"] == 240
    assert Artifact.open(tmp_path / "out").manifest.digest == json.loads(done.out)["digest"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_goes_on_if_and_only_if_its_help_says_so(name: str) -> None:
    command = command_named(name)
    assert isinstance(command, Command)
    says_so = any(words in (command.help or "") for words in ("Interrupted, the same", "Killed at any", "Run again, "))
    assert command.goes_on == says_so


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_nothing_is_at_stake(tmp_path: Path, onnx_artifact: Path, number: int) -> None:
    """Waiting for more lines of stdin: those of the first batch are answered."""
    with replank_process("predict", onnx_artifact, stdin=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("good\n" * _STDIN_BATCH)
        process.stdin.flush()
        answers = [process.stdout.readline() for _ in range(_STDIN_BATCH)]
        process.send_signal(number)
        # Its end is not caused by that of stdin, which stays open.
        process.wait()
        out, err = process.communicate()
    assert all(answer.endswith("\tgood\n") for answer in answers)
    assert (process.returncode, out, err.strip()) == (130, "", "interrupted")


def test_an_interrupted_benchmark_keeps_its_whole_rounds(onnx_artifact: Path) -> None:
    command = [
        "benchmark",
        onnx_artifact,
        "--batch-size",
        1,
        "--length",
        8,
        "--rounds",
        100_000,
        "--clock",
        "wall",
        "--json",
    ]
    with replank_process(*command) as process:
        assert process.stderr
        assert "round" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, err.splitlines()[-1]) == (130, "interrupted")
    result = json.loads(out)
    assert result["stopped"]["error"] == "interrupted"
    assert all(len(cell["samples_ms"]) >= 1 for cell in result["cells"])
