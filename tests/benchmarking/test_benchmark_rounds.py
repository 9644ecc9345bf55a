"""The benchmark's rounds: whose turn it is, what follows from them, and how busy others were."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_clock import FakeClock
from replank.benchmarking import rounds
from replank.benchmarking.config import BenchmarkConfig
from replank.benchmarking.load import OtherLoad
from replank.benchmarking.messages import Samples, Turn
from replank.benchmarking.result import Shape
from replank.benchmarking.rounds import Rounds
from replank.benchmarking.statistics import latency, ratio
from waiting import until


class Stub:
    """A worker that answers at once, with what it is told."""

    def __init__(self, milliseconds: Iterator[float]) -> None:
        self._milliseconds = milliseconds
        self.turns: list[Turn] = []

    def measure(self, turn: Turn) -> Samples:
        self.turns.append(turn)
        return Samples((next(self._milliseconds),) * 3, None, 0.0, 0)


def turns_of(config: BenchmarkConfig, stubs: list[Stub]) -> list[tuple[int, Shape, int]]:
    """All turns, each taken."""
    played, taken = Rounds(config, stubs, 0), []
    for turn in played.turns():
        played.take(*turn)
        taken.append(turn)
    return taken


def test_turns_are_interleaved_and_who_begins_rotates() -> None:
    config = BenchmarkConfig(("a", "b", "c"), batch_sizes=(1, 8), lengths=(16,), rounds=2, max_seconds=0)
    turns = turns_of(config, [Stub(repeat(1.0)) for _ in range(3)])
    assert len(turns) == config.units == 12
    assert [(round_number, shape.batch_size, index) for round_number, shape, index in turns] == [
        (0, 1, 0), (0, 1, 1), (0, 1, 2), (0, 8, 0), (0, 8, 1), (0, 8, 2),
        (1, 1, 1), (1, 1, 2), (1, 1, 0), (1, 8, 1), (1, 8, 2), (1, 8, 0),
    ]  # fmt: skip


def test_what_is_known_is_not_measured_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With time to spare, rounds go on until there are enough of them; where runs vary, until the time is over."""
    monkeypatch.setattr(rounds, "time", FakeClock())
    settings: dict[str, Any] = {"batch_sizes": (1,), "lengths": (16,), "rounds": 2}
    steady = BenchmarkConfig(("a", "b"), **settings, max_seconds=60)
    turns = turns_of(steady, [Stub(repeat(1.0)), Stub(repeat(2.0))])
    assert [round_number for round_number, _, _ in turns] == [number for number in range(12) for _ in range(2)]
    wild = BenchmarkConfig(("a", "b"), **settings, max_seconds=1.5)
    turns = turns_of(wild, [Stub(repeat(1.0)), Stub(cycle([1.0, 9.0]))])
    # Of two turns, before each of which there is a pause of 20 ms.
    assert turns[-1][0] == 37
    alone = BenchmarkConfig(("a",), **settings, max_seconds=60)
    assert len(turns_of(alone, [Stub(repeat(1.0))])) == 2


def test_long_runs_are_not_warmed_up_again() -> None:
    config = BenchmarkConfig(("a", "b"), batch_sizes=(1,), lengths=(16,), rounds=3, warmup=4, max_seconds=0)
    long, short = Stub(repeat(300.0)), Stub(repeat(3.0))
    turns_of(config, [long, short])
    assert [turn.warmup for turn in long.turns] == [4, 0, 0]
    assert [turn.warmup for turn in short.turns] == [4, 1, 1]


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that is ten times slower in the second round changes no ratio."""
    baseline = [[40.0, 42.0, 44.0], [400.0, 420.0, 440.0], [40.0, 40.0, 40.0]]
    ours = [[20.0, 21.0, 22.0], [200.0, 210.0, 220.0], [5.0, 5.0, 5.0]]
    found = ratio(ours, baseline, 1)
    assert found.rounds == (2.0, 2.0, 8.0)
    assert (found.median, found.min, found.max) == (2.0, 2.0, 8.0)
    assert found.estimate == pytest.approx(32 ** (1 / 3))
    assert found.interval == pytest.approx((2.0, 8.0))


def test_a_stray_round_moves_no_ratio() -> None:
    baseline, ours = [[10.0]] * 20, [[5.0]] * 19 + [[500.0]]
    found = ratio(ours, baseline, 1)
    assert found.estimate == pytest.approx(2.0)
    assert found.min == 0.02


def test_intervals_hold_what_they_promise() -> None:
    """Equal models on a machine whose speed wanders: of 200 benchmarks, 95 % contain the true ratio, give or take 4."""
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        machine = np.exp(generator.normal(0, 0.5, size=(30, 1)))
        ours, theirs = (machine * np.exp(generator.normal(0, 0.3, size=(30, 3))) for _ in range(2))
        low, high = ratio(ours.tolist(), theirs.tolist(), 1).interval
        hits += low <= 1 <= high
    assert 182 <= hits <= 198


def test_several_ratios_hold_together() -> None:
    generator = np.random.default_rng(2)
    ours, theirs = (np.exp(generator.normal(0, 0.3, size=(30, 3))).tolist() for _ in range(2))
    one, eight = (ratio(ours, theirs, count).interval for count in (1, 8))
    assert eight[0] < one[0] < one[1] < eight[1]


def test_percentiles_have_intervals_over_rounds() -> None:
    found = latency([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]], batch_size=4)
    assert (found.p50_ms, found.mean_ms) == (4.5, 4.5)
    assert found.p95_ms == pytest.approx(np.percentile(range(1, 9), 95))
    assert found.texts_per_second == pytest.approx(4000 / 4.5)
    # Drawn whole, either round may be all there is.
    assert found.intervals_ms["p50"] == (2.5, 6.5)
    assert set(found.intervals_ms) == {"p50", "p90", "p95", "p99"}


def write_stat(root: Path, busy: int, idle: int, used: int) -> None:
    """Two cores of three are looked at; the third is busy all the time."""
    cores = [f"cpu{core} {busy} 0 0 {idle} 0 0 0 0 0 0" for core in (0, 1)]
    (root / "stat").write_text("\n".join(["cpu 1 2 3 4", *cores, "cpu2 99999 0 0 0 0 0 0 0 0 0", "ctxt 1"]))
    for process in (os.getpid(), 7):
        (root / str(process)).mkdir(exist_ok=True)
        (root / str(process) / "stat").write_text(f"7 (a) b) S {' '.join(['0'] * 10)} {used} {used} 0")


def test_what_others_use_is_what_we_do_not(tmp_path: Path) -> None:
    write_stat(tmp_path, busy=100, idle=100, used=10)
    load = OtherLoad([7], cores=[0, 1], root=tmp_path)
    # 80 of 100 ticks of either core, of which our two processes used 2 x 20.
    write_stat(tmp_path, busy=180, idle=120, used=20)
    assert load.cores() == pytest.approx((160 - 40) / 200 * 2)
    assert OtherLoad([8], root=tmp_path).cores() is None


def test_another_process_is_seen() -> None:
    """The kernel's own counts, of a process that does nothing but count."""
    core = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, [{core}]); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        theirs, ours = OtherLoad([], cores=[core]), OtherLoad([process.pid], cores=[core])
        start = ours._used() - theirs._used()
        until(lambda: ours._used() - theirs._used() > start + 20)
        seen, not_seen = theirs.cores(), ours.cores()
        process.kill()
    assert seen is not None
    assert not_seen is not None
    assert 0 <= not_seen < seen <= 1.0
