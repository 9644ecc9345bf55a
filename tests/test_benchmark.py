"""The benchmark: its clock against known truth, its turns, its numbers, and its child processes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Replank, error_lines
from rich.console import Console

from replank.artifact import Artifact
from replank.data import DataConfig
from replank.errors import ModelError, ReplankError, UsageError
from replank.runtime import Model, load_model
from replank.source import open_source
from replank.timing import measure, random_batch, text_batches
from serve import benchmark_process
from serve.benchmark import BenchmarkConfig, benchmark, is_disturbed
from serve.benchmark_config import Variant, short_names
from serve.benchmark_process import WorkerProcess
from serve.benchmark_statistics import latency
from serve.benchmark_table import render

CELL = {"batch_size": 1, "length": 8, "seed": 0, "warmup": 1, "min_iterations": 3, "min_seconds": 0.0, "first": True}


def variant(folder: Path) -> Variant:
    return Variant("a model", str(folder), "cpu", "fp32")


def test_the_clock_reads_milliseconds() -> None:
    samples = measure(lambda: time.sleep(0.03), warmup=1, min_iterations=7, min_seconds=0)
    assert len(samples) == 7
    assert min(samples) >= 30
    assert np.median(samples) < 40


def test_the_stop_rule_wants_iterations_and_seconds() -> None:
    calls: list[float] = []
    samples = measure(lambda: calls.append(0.0), warmup=4, min_iterations=5, min_seconds=0)
    assert (len(samples), len(calls)) == (5, 9)
    samples = measure(lambda: time.sleep(0.01), warmup=0, min_iterations=1, min_seconds=0.055)
    assert sum(samples[:-1]) < 55 <= sum(samples)


def test_a_stop_in_the_middle_of_a_set_is_put_off() -> None:
    calls: list[float] = []
    samples = measure(lambda: calls.append(0.0), warmup=0, min_iterations=4, min_seconds=0, multiple=3)
    assert len(samples) == len(calls) == 6


def test_memory_is_what_was_held_at_most() -> None:
    """In a process of its own: 200 MB that are written to and let go."""
    code = (
        "import numpy; from replank.timing import peak_memory; before = peak_memory();"
        "held = numpy.ones(25_000_000); del held; print(peak_memory() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.9 * 200e6 < int(done.stdout) < 1.1 * 200e6


def test_inputs_are_full_seeded_and_within_the_model(onnx_artifact: Path) -> None:
    model = load_model(open_source(onnx_artifact), threads=1)
    batch = random_batch(model, 3, 20, seed=1)
    assert batch.shape == (3, 20)
    assert batch.attention_mask.all()
    assert 0 <= batch.input_ids.min() <= batch.input_ids.max() < model.source.config["vocab_size"]
    assert (batch.input_ids == random_batch(model, 3, 20, seed=1).input_ids).all()
    assert (batch.input_ids != random_batch(model, 3, 20, seed=2).input_ids).any()
    with pytest.raises(UsageError, match=r"--length 65: .* takes at most 64 tokens"):
        random_batch(model, 1, 65, seed=1)


def test_torch_and_onnx_side_by_side(successor: Path, onnx_artifact: Path) -> None:
    config = BenchmarkConfig(
        (str(successor), str(onnx_artifact)),
        batch_sizes=(1, 4),
        lengths=(8,),
        rounds=3,
        min_seconds=0.03,
        threads=1,
    )
    notes: list[str] = []

    def progress(amount: int = 1, note: str = "") -> None:
        assert amount == 1
        notes.append(note)

    result = benchmark(config, progress)
    assert json.loads(json.dumps(result)) == result
    assert len(notes) == config.units
    assert notes[0] == "successor, 1 x 8 tokens, round 1/3"
    assert str(onnx_artifact.parent) not in json.dumps(result)

    torch_model, onnx_model = result["models"]
    artifact = Artifact.open(onnx_artifact)
    assert (torch_model["name"], torch_model["kind"]) == ("successor", "torch")
    assert (onnx_model["name"], onnx_model["kind"], onnx_model["layers"]) == ("onnx", "onnx", 2)
    assert (onnx_model["device"], onnx_model["threads"]) == ("cpu", 1)
    assert onnx_model["digest"] == artifact.manifest.digest
    assert onnx_model["quality"] == artifact.manifest.quality
    assert onnx_model["model_bytes"] == (onnx_artifact / "model.onnx").stat().st_size
    # The worker without torch must not show the memory of this process, which has it.
    assert 20e6 < onnx_model["peak_memory_bytes"] < torch_model["peak_memory_bytes"]
    assert 0 < onnx_model["load_seconds"] < 30

    cells = {(cell["model"], cell["batch_size"]): cell for cell in result["cells"]}
    assert set(cells) == {(name, size) for name in ("successor", "onnx") for size in (1, 4)}
    for (name, size), cell in cells.items():
        rounds = cell["samples_ms"]
        assert len(rounds) == 3
        assert all(len(samples) >= 1 and sum(samples) >= 10 for samples in rounds)
        every = [sample for samples in rounds for sample in samples]
        assert cell["p50_ms"] == pytest.approx(np.median(every))
        assert min(every) <= cell["p50_ms"] <= cell["p90_ms"] <= cell["p99_ms"] <= max(every)
        assert cell["texts_per_second"] == pytest.approx(1e3 * size / np.mean(every))
        assert cell["joules_per_text"] is None or cell["joules_per_text"] > 0
        if name == "successor":
            assert cell["ratio"]["rounds"] == [1.0, 1.0, 1.0]
        else:
            medians = zip(cells["successor", size]["samples_ms"], rounds, strict=True)
            assert cell["ratio"]["rounds"] == pytest.approx([np.median(a) / np.median(b) for a, b in medians])

    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render(result))
    text = console.export_text()
    assert text.count("baseline") == 2
    assert "…" not in text
    for cell in cells.values():
        assert f"{cell['p50_ms']:.2f}" in text


def test_a_busy_machine_is_noticed() -> None:
    steady = {"length": 8} | latency([[10.0] * 9 + [30.0]] * 3, 1)
    uneven = {"length": 8} | latency([[10.0] * 8 + [30.0] * 2] * 3, 1)
    assert not is_disturbed([steady])
    assert is_disturbed([steady, uneven])
    assert not is_disturbed([uneven | {"length": None}])


def test_a_model_beside_itself_on_real_texts(onnx_artifact: Path) -> None:
    """Texts give the lengths; a baseline can be chosen; and the texts themselves are not told."""
    texts = tuple((f"a very lovely film {'and music ' * (number % 5)}",) for number in range(6))
    config = BenchmarkConfig(
        (str(onnx_artifact), str(onnx_artifact)),
        batch_sizes=(2,),
        texts=texts,
        rounds=2,
        min_seconds=0.0,
        threads=1,
        baseline="onnx (2)",
    )
    result = benchmark(config)
    assert [(cell["model"], cell["length"]) for cell in result["cells"]] == [("onnx", None), ("onnx (2)", None)]
    assert [len(samples) for cell in result["cells"] for samples in cell["samples_ms"]] == [3, 3, 3, 3]
    assert result["cells"][1]["ratio"]["rounds"] == [1.0, 1.0]
    assert (result["baseline"], result["same_task"], result["stopped"]) == ("onnx (2)", True, None)
    assert result["config"]["texts"]["count"] == 6
    assert "lovely" not in json.dumps(result)


def test_batches_of_texts_are_padded_as_in_use(model: Model) -> None:
    batches = text_batches(model, [["a film"], ["a very very dull film"], ["it is good"]], 2)
    assert [batch.shape for batch in batches] == [(2, 7)]
    assert batches[0].attention_mask.sum(axis=1).tolist() == [4, 7]


def test_other_tasks_are_compared_by_speed_alone(onnx_artifact: Path, pair_onnx_artifact: Path) -> None:
    config = BenchmarkConfig(
        (str(onnx_artifact), str(pair_onnx_artifact)),
        batch_sizes=(1,),
        lengths=(8,),
        rounds=1,
        min_seconds=0.0,
        threads=1,
    )
    result = benchmark(config)
    assert [model["task"] for model in result["models"]] == ["sentiment", "same"]
    assert not result["same_task"]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render(result))
    text = " ".join(console.export_text().split())
    assert "only their speed is compared" in text
    assert "quality" not in text


def test_torch_in_each_way(successor: Path, onnx_artifact: Path) -> None:
    """ONNX models have one way; each way of a torch model is a process of its own, and a name."""
    config = BenchmarkConfig(
        (str(successor), str(onnx_artifact)),
        batch_sizes=(1,),
        lengths=(8,),
        rounds=1,
        min_seconds=0.0,
        threads=1,
        torch_modes=("fp32", "bf16"),
    )
    result = benchmark(config)
    assert [(model["name"], model["precision"], model["mode"]) for model in result["models"]] == [
        ("successor (fp32)", "fp32", "fp32"),
        ("successor (bf16)", "bf16", "bf16"),
        ("onnx", "fp32", None),
    ]


def test_what_was_measured_before_a_death_is_kept(onnx_artifact: Path) -> None:
    """The workers die in the second round: the first round is the result, and the error is told."""
    config = BenchmarkConfig(
        (str(onnx_artifact), str(onnx_artifact)), batch_sizes=(1,), lengths=(8,), rounds=9, min_seconds=0.0, threads=1
    )
    turns: list[str] = []

    def kill(amount: int = 1, note: str = "") -> None:
        turns.append(note)
        if len(turns) == 3:
            for child in _children():
                os.kill(child, 9)

    result = benchmark(config, kill)
    assert {len(cell["samples_ms"]) for cell in result["cells"]} == {1}
    assert "died (signal 9)" in result["stopped"]["error"]


def test_threads_are_held_to_as_many_cores(onnx_artifact: Path) -> None:
    with WorkerProcess(variant(onnx_artifact), 1) as worker:
        assert len(os.sched_getaffinity(worker.process_id)) == 1


def test_a_length_beyond_a_model_is_refused_before_anything_is_measured(onnx_artifact: Path) -> None:
    turns: list[str] = []
    config = BenchmarkConfig((str(onnx_artifact),), lengths=(16, 65))
    with pytest.raises(UsageError, match="--length 65: onnx takes at most 64 tokens"):
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
        assert len(worker.measure(CELL)[0]) >= 3
        worker._process.kill()
        with pytest.raises(ReplankError, match=r"died \(signal 9\)"):
            worker.measure(CELL)


def test_an_interrupt_leaves_no_child(onnx_artifact: Path) -> None:
    children: list[int] = []

    def interrupt(amount: int = 1, note: str = "") -> None:
        children.extend(_children())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        benchmark(BenchmarkConfig((str(onnx_artifact),), lengths=(8,), min_seconds=0.01, threads=1), interrupt)
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
        assert worker.facts["kind"] == "onnx"


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
        ({"models": ()}, "no model to measure"),
        ({"lengths": (8, 8)}, "lengths: 8, 8; expected some, each once"),
        ({"batch_sizes": ()}, "batch_sizes: none; expected some"),
        ({"batch_sizes": (1, 0)}, "--batch-size 0: expected at least 1"),
        ({"lengths": (-4,)}, "--length -4: expected at least 1"),
        ({"rounds": 0}, "--rounds 0: expected at least 1"),
        ({"min_iterations": 0}, "--min-iterations 0"),
        ({"warmup": -1}, "--warmup -1: expected at least 0"),
        ({"threads": 0}, "--threads 0"),
        ({"max_seconds": -1.0}, "--max-seconds -1.0: expected 0 or more"),
        ({"baseline": "b"}, "--baseline b: expected one of a"),
        ({"torch_modes": ("int8",)}, "--torch int8: expected some of fp32, bf16"),
        ({"torch_modes": ("bf16", "bf16")}, "each once"),
        ({"texts": (("a",),)}, "1 texts; expected at least --batch-size 8"),
        ({"min_seconds": float("inf")}, "--min-seconds inf: expected 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        BenchmarkConfig(**{"models": ("a",)} | values)


def test_the_command_takes_texts_or_lengths(
    replank: Replank, onnx_artifact: Path, data: DataConfig, tmp_path: Path
) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("a lovely film\n\na dull plot with very weak music\n", encoding="utf-8")
    common = ("benchmark", onnx_artifact, "--batch-size", 2, "--rounds", 1, "--threads", 1, "--json")
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
