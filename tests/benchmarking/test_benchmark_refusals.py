"""What the benchmark refuses, and what is kept when a worker dies."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from commands import Replank, error_lines
from replank.benchmarking import process as benchmark_process
from replank.benchmarking.config import short_names
from replank.benchmarking.messages import Turn
from replank.benchmarking.process import WorkerProcess
from replank.benchmarking.run import BenchmarkConfig, benchmark
from replank.data.config import DataConfig
from replank.system.errors import FieldError, ModelError, ReplankError
from variants import variant

TURN = Turn(batch_size=1, length=8, seed=0, warmup=1, is_first=True, min_iterations=3, min_seconds=0.0)


def test_what_was_measured_before_a_death_is_kept(onnx_artifact: Path) -> None:
    """The workers die in the second round: the first round is the result, and the error is told."""
    config = BenchmarkConfig(
        (str(onnx_artifact), str(onnx_artifact)),
        batch_sizes=(1,),
        lengths=(8,),
        rounds=9,
        min_seconds=0.0,
        max_seconds=0.0,
        threads=1,
        clock="wall",
    )
    turns: list[str] = []

    def kill(amount: int = 1, note: str = "") -> None:
        turns.append(note)
        if len(turns) == 3:
            for child in _children():
                os.kill(child, 9)

    result = benchmark(config, kill)
    assert {len(cell.samples_ms) for cell in result.cells} == {1}
    assert result.stopped is not None
    assert "died (signal 9)" in result.stopped.error


def test_a_length_beyond_a_model_is_refused_before_anything_is_measured(onnx_artifact: Path) -> None:
    turns: list[str] = []
    config = BenchmarkConfig((str(onnx_artifact),), lengths=(16, 65))
    with pytest.raises(FieldError, match="`lengths` is 65; expected at most 64 tokens for onnx"):
        benchmark(config, lambda amount=1, note="": turns.append(note))
    assert turns == []


def test_a_model_that_is_not_there_is_the_same_error_as_everywhere(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no model folder: it has no config\.json") as info:
        benchmark(BenchmarkConfig((str(tmp_path),)))
    assert info.value.hint == "expected config.json, tokenizer.json and model.safetensors (or model.onnx)"


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (
            "sys.stdin.readline(); sys.exit('cannot open the pod bay doors')",
            r"\(exit code 1\):\ncannot open",
            None,
        ),
        ("print('early'); raise SystemExit(7)", r"\(exit code 7\)", None),
        (
            "sys.stdin.readline(); os.kill(os.getpid(), 9)",
            r"\(signal 9\):\nit said nothing",
            "too little memory",
        ),
        (
            "[print(n, file=sys.stderr) for n in range(99)]; os._exit(1)",
            r"died \(exit code 1\):\n94\n95\n96\n97\n98$",
            None,
        ),
    ],
)
def test_a_worker_that_dies_is_quoted(
    monkeypatch: pytest.MonkeyPatch, code: str, message: str, hint: str | None
) -> None:
    code = f"import os, sys; sys.stdout = sys.stderr; {code}"
    monkeypatch.setattr(benchmark_process, "_COMMAND", (sys.executable, "-c", code))
    with pytest.raises(ReplankError, match=message) as info:
        benchmark(BenchmarkConfig(("a/model",)))
    assert "the process that measured a/model died" in info.value.message
    assert (hint is None and info.value.hint is None) or (hint and hint in str(info.value.hint))


def test_a_worker_that_dies_in_the_middle_is_noticed(onnx_artifact: Path) -> None:
    with WorkerProcess(variant(onnx_artifact), 1) as worker:
        assert len(worker.measure(TURN).milliseconds) >= 3
        worker._process.kill()
        with pytest.raises(ReplankError, match=r"died \(signal 9\)"):
            worker.measure(TURN)


def test_an_interrupt_leaves_no_child(onnx_artifact: Path) -> None:
    children: list[int] = []

    def interrupt(amount: int = 1, note: str = "") -> None:
        children.extend(_children())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        benchmark(
            BenchmarkConfig((str(onnx_artifact),), lengths=(8,), min_seconds=0.01, threads=1, clock="wall"), interrupt
        )
    assert len(children) == 1
    assert not Path(f"/proc/{children[0]}").exists()


def _children() -> list[int]:
    lists = (path.read_text(encoding="ascii") for path in Path("/proc/self/task").glob("*/children"))
    return [int(number) for line in lists for number in line.split()]


def test_a_folder_of_the_same_name_is_not_imported_in_its_place(
    onnx_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "serve.py").write_text("raise SystemExit('wrong serve')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with WorkerProcess(variant(onnx_artifact), 1) as worker:
        assert worker.facts.kind == "onnx"


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a" / "int8").mkdir(parents=True)
    (tmp_path / "b" / "int8").mkdir(parents=True)
    one, other = str(tmp_path / "a" / "int8"), str(tmp_path / "b" / "int8")
    assert short_names((one, str(tmp_path / "b"))) == ["int8", "b"]
    assert short_names((one, other)) == [one, other]
    assert short_names((one, one)) == ["int8", "int8 (2)"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": ()}, "`models` is empty; expected at least one model"),
        ({"lengths": (8, 8)}, "`lengths` is 8, 8; expected numbers of 1 or more, each once"),
        ({"batch_sizes": ()}, "`batch_sizes` is empty; expected numbers of 1 or more"),
        ({"batch_sizes": (1, 0)}, "`batch_sizes` is 1, 0; expected numbers of 1 or more"),
        ({"lengths": (-4,)}, "`lengths` is -4; expected numbers of 1 or more"),
        ({"rounds": 0}, "`rounds` is 0; expected at least 1"),
        ({"min_iterations": 0}, "`min_iterations` is 0; expected at least 1"),
        ({"warmup": -1}, "`warmup` is -1; expected at least 0"),
        ({"threads": 0}, "`threads` is 0; expected at least 1"),
        ({"max_seconds": -1.0}, "`max_seconds` is -1.0; expected 0 or more seconds"),
        ({"baseline": "b"}, "`baseline` is b; expected one of a"),
        ({"clock": "sun"}, "`clock` is sun; expected one of wall, processor, auto"),
        ({"clock": "processor", "devices": ("cuda",)}, "`clock` is processor; expected wall or auto, as a GPU's"),
        ({"devices": ("cpu", "tpu")}, "`device` is tpu; expected one of cpu, cuda"),
        ({"torch_modes": ("int8",)}, "`torch_modes` is int8; expected some of fp32, bf16"),
        ({"torch_modes": ("bf16", "bf16")}, "each once"),
        ({"texts": (("a",),)}, "`batch_sizes` is 8; expected at most 1, the number of texts"),
        ({"min_seconds": float("inf")}, "`min_seconds` is inf; expected 0 or more seconds"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError, match=re.escape(message)):
        BenchmarkConfig(**{"models": ("a",)} | values)


def test_the_command_takes_texts_or_lengths(
    replank: Replank, onnx_artifact: Path, data: DataConfig, tmp_path: Path
) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("a lovely film\n\na dull plot with very weak music\n", encoding="utf-8")
    common = ("benchmark", onnx_artifact, "--batch-size", 2, "--rounds", 1, "--threads", 1, "--clock", "wall", "--json")
    done = replank(*common, "--texts", file)
    result = json.loads(done.out)
    assert (done.code, result["cells"][0]["length"], result["config"]["texts"]["count"]) == (0, None, 2)
    from_task = json.loads(replank(*common, "--task", "sentiment", "--data", data.data).out)
    assert from_task["config"]["texts"]["count"] == 64
    assert "lengths of their own" in error_lines(replank(*common, "--texts", file, "--length", 8))[0]
    assert "exclude each other" in error_lines(replank(*common, "--texts", file, "--data", data.data))[0]
    file.write_text("\n \n", encoding="utf-8")
    assert "holds no text" in error_lines(replank(*common, "--texts", file))[0]
    assert "cannot read" in error_lines(replank(*common, "--texts", tmp_path / "none"))[0]
