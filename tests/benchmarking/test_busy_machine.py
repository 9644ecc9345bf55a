"""A busy machine: how it is noticed, and what is measured on it instead of latency."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from replank.benchmarking.load import OtherLoad
from replank.benchmarking.result import Benchmark
from replank.benchmarking.run import BenchmarkConfig, benchmark
from replank.benchmarking.table import render
from replank.benchmarking.waits import CoreWaits, is_busy
from replank.runtime.timing import time_calls
from waiting import until

PUBLISHED = Path(__file__).parents[2] / "benchmarks/results/bert_base_speed.json"
# Of turns on two cores: beside nothing; beside two trainings; beside something that ran for half of the time.
QUIET = [0.0, 0.0012, 0.0004, 0.021, 0.0, 0.0007, 0.003, 0.0, 0.0019, 0.0005, 0.0002, 0.0]
BUSY = [0.72, 0.68, 0.81, 0.55, 0.77, 0.49, 0.63, 0.7, 0.58, 0.66, 0.74, 0.8]
HALF_BUSY = [*QUIET[:6], *BUSY[:6]]


@contextmanager
def neighbour(core: int) -> Iterator[int]:
    """The id of a process that does nothing but count, on one core."""
    code = f"import os; os.sched_setaffinity(0, [{core}]); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def shared_core() -> Iterator[int]:
    """The one core that this thread, and all that it starts, may use, beside a neighbour."""
    cores = os.sched_getaffinity(0)
    core = min(cores)
    os.sched_setaffinity(0, {core})
    try:
        with neighbour(core):
            yield core
    finally:
        os.sched_setaffinity(0, cores)


@pytest.mark.parametrize(
    ("waited", "other_load", "expected"),
    [
        (QUIET, 0.02, False),
        (BUSY, 1.9, True),
        (HALF_BUSY, 0.9, True),
        # One turn of twelve: ratios leave out such a round.
        ([*QUIET[:11], 0.6], 0.3, False),
        # Nobody else used a core: a quota lets the threads wait, as it does in use.
        (BUSY, 0.02, False),
        (BUSY, None, True),
        # The kernel does not say.
        ([None] * 12, 1.9, False),
        ([], 1.9, False),
    ],
)
def test_wall_time_says_little_where_threads_often_wait(
    waited: list[float | None], other_load: float | None, expected: bool
) -> None:
    assert is_busy(waited, other_load) is expected


def test_waits_are_those_of_the_thread_that_waits_longest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replank.benchmarking.waits.own_cores", lambda: [0, 1])

    def write(waited: dict[int, float], stolen: float) -> None:
        for thread, seconds in waited.items():
            (tmp_path / "self" / "task" / str(thread)).mkdir(parents=True, exist_ok=True)
            (tmp_path / "self" / "task" / str(thread) / "schedstat").write_text(f"5 {round(1e9 * seconds)} 3\n")
        ticks = round(stolen * os.sysconf("SC_CLK_TCK"))
        (tmp_path / "stat").write_text("\n".join(f"cpu{core} 1 0 0 1 0 0 0 {ticks} 0 0" for core in range(3)))

    write({1: 10, 2: 20}, stolen=7)
    waits = CoreWaits(tmp_path)
    waits._start = time.perf_counter() - 100
    write({1: 15, 2: 50, 3: 20}, stolen=17)
    # 30 of 100 seconds of the second thread, and 10 that were stolen.
    assert waits.share() == pytest.approx(0.4, abs=0.01)
    assert CoreWaits(tmp_path / "nothing").share() is None


def test_a_thread_beside_another_process_waits(shared_core: int) -> None:
    waits = CoreWaits()
    end = time.perf_counter() + 0.3
    while time.perf_counter() < end:
        pass
    share = waits.share()
    assert share is not None
    assert 0.1 < share <= 1.1


def test_processor_time_does_not_count_sleep() -> None:
    samples = time_calls(lambda: time.sleep(0.05), warmup=0, min_iterations=3, min_seconds=0, clock="processor")
    assert len(samples) == 3
    assert max(samples) < 50


def test_what_our_processes_start_is_ours() -> None:
    """A compiler that a worker starts is no other."""
    spin = "import time\nwhile time.process_time() < 0.3: pass"
    code = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {spin!r}]); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        load = OtherLoad([worker.pid])
        start = load._used()
        # While it runs,
        until(lambda: load._used() > start + 10)
        assert worker.stdout
        worker.stdout.readline()
        # and after its end.
        assert load._used() >= start + 20
        worker.kill()


def test_beside_a_neighbour_processor_time_is_measured(onnx_artifact: Path, shared_core: int) -> None:
    config = BenchmarkConfig(
        (str(onnx_artifact),), batch_sizes=(1,), lengths=(8,), rounds=1, min_seconds=0.5, max_seconds=0.0
    )
    done: list[int] = []
    result = benchmark(config, lambda amount=1, note="": done.append(amount))
    assert (result.clock, result.is_disturbed, sum(done)) == ("processor", True, config.units)
    assert {model.threads for model in result.models} == {1}
    assert all(cell.waited and len(cell.waited) == len(cell.samples_ms) for cell in result.cells)
    assert Benchmark.from_json(json.loads(json.dumps(result.to_json()))) == result


def shown(result: Benchmark) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(result))
    return " ".join(console.export_text().split())


def test_the_table_says_what_its_times_are() -> None:
    published = Benchmark.from_json(json.loads(PUBLISHED.read_text(encoding="utf-8")))
    wall, processor = shown(published), shown(replace(published, clock="processor", other_load=1.9))
    assert "p50 ms" in wall
    assert "cpu ms" not in wall
    assert "Processor time (one thread), texts a second of it and ratios of it" in processor
    assert "p50 cpu ms" in processor
    assert "(other processes used 1.9 of 2 cores): processor time leaves out what threads waited" in processor
