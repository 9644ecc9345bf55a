"""Measuring: the clock, the stop rule, memory, others on the machine, and models side by side."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from fake_clock import FakeClock
from replank.benchmarking.process import WorkerProcess
from replank.benchmarking.result import Benchmark, Cell, LoadAverage
from replank.benchmarking.run import BenchmarkConfig, benchmark
from replank.benchmarking.statistics import latency, ratio
from replank.benchmarking.table import render
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.runtime import timing
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.timing import random_batch, text_batches, time_calls
from replank.system.environment import Machine
from replank.system.errors import DataError, FieldError, ProviderError
from variants import variant

# One call of each model, of one short text.
ONE_ROUND: dict[str, Any] = {
    "batch_sizes": (1,),
    "lengths": (8,),
    "rounds": 1,
    "min_seconds": 0.0,
    "max_seconds": 0.0,
    "threads": 1,
    "clock": "wall",
}


def test_the_clock_reads_milliseconds() -> None:
    start = time.perf_counter()
    samples = time_calls(lambda: time.sleep(0.03), warmup=1, min_iterations=7, min_seconds=0)
    elapsed = time.perf_counter() - start
    assert len(samples) == 7
    assert min(samples) >= 30
    # All but the warm-up, however busy the machine is.
    assert sum(samples) < 1000 * (elapsed - 0.03)


def test_the_stop_rule_wants_iterations_and_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(timing, "time", clock)
    calls: list[float] = []
    samples = time_calls(lambda: calls.append(0.0), warmup=4, min_iterations=5, min_seconds=0)
    assert (len(samples), len(calls)) == (5, 9)
    samples = time_calls(lambda: clock.sleep(0.01), warmup=3, min_iterations=1, min_seconds=0.055)
    assert samples == pytest.approx([10] * 6)


def test_a_stop_in_the_middle_of_a_set_is_put_off() -> None:
    calls: list[float] = []
    samples = time_calls(lambda: calls.append(0.0), warmup=0, min_iterations=4, min_seconds=0, multiple=3)
    assert len(samples) == len(calls) == 6


def test_memory_is_what_was_held_at_most() -> None:
    """In a process of its own: 200 MB that are written to and let go."""
    code = (
        "import numpy; from replank.runtime.timing import peak_memory; before = peak_memory();"
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
    with pytest.raises(FieldError, match=r"`length` is 65; expected at most 64 tokens for .*onnx"):
        random_batch(model, 1, 65, seed=1)


def test_torch_and_onnx_side_by_side(successor: Path, onnx_artifact: Path) -> None:
    config = BenchmarkConfig(
        (str(successor), str(onnx_artifact)),
        batch_sizes=(1, 4),
        lengths=(8,),
        rounds=3,
        min_seconds=0.03,
        max_seconds=0.0,
        threads=1,
        clock="wall",
    )
    notes: list[str] = []

    def progress(amount: int = 1, note: str = "") -> None:
        assert amount == 1
        notes.append(note)

    result = benchmark(config, progress)
    assert Benchmark.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert len(notes) == config.units
    assert notes[0] == "successor, 1 x 8 tokens, round 1/3"
    assert str(onnx_artifact.parent) not in json.dumps(result.to_json())

    torch_model, onnx_model = result.models
    artifact = Artifact.open(onnx_artifact)
    assert (torch_model.name, torch_model.kind) == ("successor", "torch")
    assert (onnx_model.name, onnx_model.kind, onnx_model.layers) == ("onnx", "onnx", 2)
    assert (onnx_model.device, onnx_model.threads) == ("cpu", 1)
    assert onnx_model.digest == artifact.manifest.digest
    assert onnx_model.quality == artifact.manifest.quality
    assert onnx_model.model_bytes == (onnx_artifact / "model.onnx").stat().st_size
    # The worker without torch must not show the memory of this process, which has it.
    assert 20e6 < onnx_model.peak_memory_bytes < torch_model.peak_memory_bytes
    assert onnx_model.load_seconds > 0

    cells = {(cell.model, cell.batch_size): cell for cell in result.cells}
    assert set(cells) == {(name, size) for name in ("successor", "onnx") for size in (1, 4)}
    for (name, size), cell in cells.items():
        rounds = cell.samples_ms
        assert len(rounds) == 3
        assert all(len(samples) >= 1 and sum(samples) >= 10 for samples in rounds)
        every = [sample for samples in rounds for sample in samples]
        assert cell.p50_ms == pytest.approx(np.median(every))
        assert min(every) <= cell.p50_ms <= cell.p90_ms <= cell.p99_ms <= max(every)
        assert cell.texts_per_second == pytest.approx(1e3 * size / np.mean(every))
        assert cell.joules_per_text is None or cell.joules_per_text > 0
        if name == "successor":
            assert cell.ratio.rounds == (1.0, 1.0, 1.0)
        else:
            medians = zip(cells["successor", size].samples_ms, rounds, strict=True)
            assert cell.ratio.rounds == pytest.approx(tuple(np.median(a) / np.median(b) for a, b in medians))

    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render(result))
    text = console.export_text()
    assert text.count("baseline") == 2
    assert "…" not in text
    for cell in cells.values():
        assert f"{cell.p50_ms:.2f}" in text


def cell_of(rounds: list[list[float]], length: int | None = 8) -> Cell:
    found, one = latency(rounds, 1), ratio(rounds, rounds, 1)
    samples = tuple(map(tuple, rounds))
    return Cell(
        **vars(found), model="a", batch_size=1, length=length, joules_per_text=None, ratio=one, samples_ms=samples
    )


def result_of(*cells: Cell, other_load: float | None = 0.0) -> Benchmark:
    load = LoadAverage((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    return Benchmark(
        {}, Machine("a CPU", "x86_64", 4, (), 8.0, "Linux"), {}, load, other_load, (), {}, "a", cells, None
    )


def test_a_busy_machine_is_noticed() -> None:
    steady, uneven = [[10.0] * 9 + [30.0]] * 3, [[10.0] * 8 + [30.0] * 2] * 3
    assert not result_of(cell_of(steady)).is_disturbed
    assert result_of(cell_of(steady), cell_of(uneven)).is_disturbed
    assert not result_of(cell_of(uneven, length=None)).is_disturbed
    assert not result_of(cell_of(steady), other_load=None).is_disturbed
    assert not result_of(cell_of(steady), other_load=0.4).is_disturbed
    assert result_of(cell_of(steady), other_load=0.41).is_disturbed


def test_the_remark_on_a_busy_machine_says_how_it_was_noticed() -> None:
    steady, uneven = cell_of([[10.0] * 9 + [30.0]] * 3), cell_of([[10.0] * 8 + [30.0] * 2] * 3)
    assert result_of(steady, other_load=0.3).disturbance is None
    # A load that is only noise is not the reason.
    assert "(latencies varied by more than half)" in (result_of(uneven, other_load=0.3).disturbance or "")
    assert "(other processes used 1.5 of 4 cores)" in (result_of(uneven, other_load=1.5).disturbance or "")


def test_the_published_result_is_read_and_written_as_it_is() -> None:
    file = Path(__file__).parents[2] / "benchmarks/results/bert_base_speed.json"
    published = json.loads(file.read_text(encoding="utf-8"))
    result = Benchmark.from_json(published)
    assert json.loads(json.dumps(result.to_json())) == published
    assert [model.name for model in result.models] == [cell.model for cell in result.at(result.shapes[0])]
    assert [model.name for model in result.models][-3:] == ["torch-6 (fp32)", "onnx-6", "int8-6"]
    assert len(result.cells) == len(result.models) * len(result.shapes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 1}, "schema 1 of a benchmark; expected 2"),
        ({"cells": []}, "without cells"),
        ({"cells": [{"model": "a"}]}, r"cells\[0\].p50_ms is missing"),
        ({"left_out": {"a": 1}}, "left_out.a is 1; expected a string"),
        ({"other_load": "much"}, "other_load is 'much'; expected a number"),
        ({"load_average": {"before": [1, 2], "after": [1, 2, 3]}}, "load_average.before has 2 values; expected 3"),
        ({"models": 3}, "models is 3; expected a list"),
    ],
)
def test_a_result_that_does_not_fit_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    values = json.loads(json.dumps(result_of(cell_of([[1.0, 2.0]])).to_json()))
    assert Benchmark.from_json(values).cells[0].p50_ms == 1.5
    with pytest.raises(DataError, match=message):
        Benchmark.from_json(values | change)


def test_a_model_beside_itself_on_real_texts(onnx_artifact: Path) -> None:
    """Texts give the lengths; a baseline can be chosen; and the texts themselves are not told."""
    texts = tuple((f"a very lovely film {'and music ' * (number % 5)}",) for number in range(6))
    config = BenchmarkConfig(
        (str(onnx_artifact), str(onnx_artifact)),
        batch_sizes=(2,),
        texts=texts,
        rounds=2,
        min_seconds=0.0,
        max_seconds=0.0,
        threads=1,
        clock="wall",
        baseline="onnx (2)",
    )
    result = benchmark(config)
    assert [(cell.model, cell.length) for cell in result.cells] == [("onnx", None), ("onnx (2)", None)]
    assert [len(samples) for cell in result.cells for samples in cell.samples_ms] == [3, 3, 3, 3]
    assert result.cells[1].ratio.rounds == (1.0, 1.0)
    assert (result.baseline, result.is_same_task, result.stopped) == ("onnx (2)", True, None)
    assert result.config["texts"]["count"] == 6
    assert "lovely" not in json.dumps(result.to_json())


def test_batches_of_texts_are_padded_as_in_use(model: Model) -> None:
    batches = text_batches(model, [["a film"], ["a very very dull film"], ["it is good"]], 2)
    assert [batch.shape for batch in batches] == [(2, 7)]
    assert batches[0].attention_mask.sum(axis=1).tolist() == [4, 7]


def test_other_tasks_are_compared_by_speed_alone(onnx_artifact: Path, pair_onnx_artifact: Path) -> None:
    config = BenchmarkConfig(
        (str(onnx_artifact), str(pair_onnx_artifact)),
        **ONE_ROUND,
    )
    result = benchmark(config)
    assert [model.task for model in result.models] == ["sentiment", "same"]
    assert not result.is_same_task
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render(result))
    text = " ".join(console.export_text().split())
    assert "only their speed is compared" in text
    assert "quality" not in text


def test_torch_in_each_way(successor: Path, onnx_artifact: Path) -> None:
    """ONNX models have one way; each way of a torch model is a process of its own, and a name."""
    config = BenchmarkConfig(
        (str(successor), str(onnx_artifact)),
        **ONE_ROUND,
        torch_modes=("fp32", "bf16"),
    )
    result = benchmark(config)
    assert [(model.name, model.precision, model.mode) for model in result.models] == [
        ("successor (fp32)", "fp32", "fp32"),
        ("successor (bf16)", "bf16", "bf16"),
        ("onnx", "fp32", None),
    ]


def test_a_mode_that_this_machine_cannot_run_is_left_out(successor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside others; alone, it is an error."""
    monkeypatch.setenv("CXX", "no-compiler")
    config = BenchmarkConfig(
        (str(successor),),
        **ONE_ROUND,
        torch_modes=("fp32", "compiled"),
    )
    result = benchmark(config)
    assert [model.mode for model in result.models] == ["fp32"]
    reason = "`torch_modes='compiled'`: torch compiles with no-compiler, which is not on this machine"
    assert result.left_out == {"successor (compiled)": reason}
    with pytest.raises(ProviderError, match="which is not on this machine") as info:
        benchmark(replace(config, torch_modes=("compiled",)))
    assert info.value.hint == "install a C++ compiler (Debian: apt-get install g++), or name one in CXX"


def test_threads_are_held_to_as_many_cores(onnx_artifact: Path) -> None:
    with WorkerProcess(variant(onnx_artifact), 1) as worker:
        assert len(os.sched_getaffinity(worker.process_id)) == 1
