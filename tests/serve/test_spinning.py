"""Threads that spin or sleep while they wait: when both ways are tried, which one stays, and what carries it out."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replank.models.source import open_source
from replank.runtime.load import can_sleep, load_model, sleeping_predictor
from replank.runtime.predictors import Logits, OnnxPredictor, Predictor
from replank.runtime.session import open_session
from replank.system.errors import ModelError
from replank.text.padding import Batch
from replank_serve.engine import spinning
from replank_serve.engine.spinning import SpinningChoice, adaptive
from replank_serve.engine.spinning_policy import (
    MOST_TRIAL_SECONDS,
    NOTICED_BATCHES,
    QUARTER_BATCHES,
    TRIAL_SECONDS,
    SpinningPolicy,
)
from waiting import until

TOKENS = 100


def run_batches(policy: SpinningPolicy, count: int, *, share: float, sleeping: float = 1.0, now: float = 0.0) -> bool:
    """Batches of a second each, or of ``sleeping`` seconds; whether the last one ended a trial."""
    ended = False
    for _ in range(count):
        seconds = 1.0 if policy.next_spins else sleeping
        ended = policy.record(TOKENS, seconds, share * seconds, now)
    return ended


def try_both(policy: SpinningPolicy, *, sleeping: float, now: float = 0.0) -> None:
    assert policy.wants_trial(now)
    policy.begin_trial()
    assert not policy.wants_trial(now)
    assert not run_batches(policy, 4 * QUARTER_BATCHES - 1, share=0.5, sleeping=sleeping, now=now)
    assert run_batches(policy, 1, share=0.5, sleeping=sleeping, now=now)


def test_a_machine_of_ones_own_is_never_tried() -> None:
    policy = SpinningPolicy()
    run_batches(policy, 10 * NOTICED_BATCHES, share=0.95)
    assert not policy.wants_trial(1e9)
    assert policy.spins


def test_batches_without_processor_time_begin_a_trial_that_the_faster_way_wins() -> None:
    policy = SpinningPolicy()
    run_batches(policy, NOTICED_BATCHES - 1, share=0.5)
    assert not policy.wants_trial(0)
    run_batches(policy, 1, share=0.5)
    try_both(policy, sleeping=0.6)
    assert (policy.spins, policy.next_spins) == (False, False)
    assert policy.gain == pytest.approx(0.6)


def test_a_small_gain_changes_nothing_and_trials_become_rarer() -> None:
    policy, now, waits = SpinningPolicy(), 0.0, []
    for _ in range(4):
        run_batches(policy, NOTICED_BATCHES, share=0.5, now=now)
        try_both(policy, sleeping=0.95, now=now)
        assert policy.spins
        run_batches(policy, NOTICED_BATCHES, share=0.5, now=now)
        waits.append(next(wait for wait in range(1000) if policy.wants_trial(now + wait)))
        now += waits[-1]
    assert waits == [2 * TRIAL_SECONDS, 4 * TRIAL_SECONDS, MOST_TRIAL_SECONDS, MOST_TRIAL_SECONDS]


def test_threads_spin_again_once_that_is_faster() -> None:
    policy = SpinningPolicy()
    run_batches(policy, NOTICED_BATCHES, share=0.5)
    try_both(policy, sleeping=0.5)
    assert not policy.wants_trial(TRIAL_SECONDS - 1)
    try_both(policy, sleeping=0.8, now=TRIAL_SECONDS)
    assert not policy.spins
    try_both(policy, sleeping=1.1, now=10 * TRIAL_SECONDS)
    assert policy.spins


def test_the_first_batch_of_each_quarter_does_not_count() -> None:
    policy = SpinningPolicy()
    run_batches(policy, NOTICED_BATCHES, share=0.5)
    policy.begin_trial()
    for number in range(4 * QUARTER_BATCHES):
        odd = 100.0 if number % QUARTER_BATCHES == 0 else 1.0
        policy.record(TOKENS, odd if policy.next_spins else 0.5, 0.5, 0)
    assert policy.gain == pytest.approx(0.5)


class Clock:
    """Time that passes only in the model."""

    def __init__(self) -> None:
        self.now = self.processor = 0.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.processor


class Timed:
    """A predictor whose batches take as long as it is told."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.batches, self._clock, self._seconds = 0, clock, seconds

    def __call__(self, batch: Batch) -> Logits:
        self.batches += 1
        self._clock.now += self._seconds
        self._clock.processor += 0.5 * self._seconds
        return np.zeros((1, 2), dtype=np.float32)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(spinning, "time", clock)
    yield clock


BATCH = Batch(np.ones((1, 4), dtype=np.int64), np.ones((1, 4), dtype=np.int64))


def opener_ended() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name == "replank-session"]


def test_a_second_session_is_opened_and_used_beside_other_work(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    spinning_one, sleeping_one = Timed(clock, 1.0), Timed(clock, 0.5)
    choice = SpinningChoice(spinning_one, lambda: sleeping_one, "a model")
    with caplog.at_level(logging.INFO):
        for _ in range(NOTICED_BATCHES + 1):
            choice(BATCH)
        until(opener_ended)
        assert (spinning_one.batches, sleeping_one.batches) == (NOTICED_BATCHES + 1, 0)
        for _ in range(4 * QUARTER_BATCHES + 1):
            choice(BATCH)
    assert not choice.spins
    assert sleeping_one.batches == 2 * QUARTER_BATCHES + 1
    expected = "threads of a model sleep from now on while they wait: sleeping takes 0.50 of the time of spinning"
    assert [record.message for record in caplog.records] == [expected]


def test_a_second_session_that_is_no_faster_is_closed(clock: Clock) -> None:
    opened: list[Predictor] = []

    def open_sleeping() -> Predictor:
        opened.append(Timed(clock, 1.0))
        return opened[-1]

    choice = SpinningChoice(Timed(clock, 1.0), open_sleeping, "a model")
    for _ in range(NOTICED_BATCHES + 1):
        choice(BATCH)
    until(opener_ended)
    for _ in range(4 * QUARTER_BATCHES):
        choice(BATCH)
    assert choice.spins
    assert choice._sleeping is None
    assert len(opened) == 1


def test_a_second_session_that_cannot_be_opened_is_not_tried_again(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def open_sleeping() -> Predictor:
        raise ModelError("it is gone")

    predictor = Timed(clock, 1.0)
    choice = SpinningChoice(predictor, open_sleeping, "a model")
    for _ in range(4 * NOTICED_BATCHES):
        choice(BATCH)
        until(opener_ended)
    assert choice.spins
    assert predictor.batches == 4 * NOTICED_BATCHES
    assert [record.message for record in caplog.records] == [
        "the machine is busy, and a model cannot be opened for that: it is gone"
    ]


def test_both_sessions_give_the_same_answers(onnx_artifact: Path) -> None:
    model = load_model(open_source(onnx_artifact), threads=2)
    sleeping = sleeping_predictor(model)
    assert isinstance(sleeping, OnnxPredictor)
    assert sleeping.threads == 2
    batch = model.text_encoder.pad(model.text_encoder.tokenize(["a good film", "dull"]))
    np.testing.assert_array_equal(sleeping(batch), model.predictor(batch))


def test_no_session_spins_between_runs(onnx_artifact: Path) -> None:
    options = open_session(onnx_artifact / "model.onnx", threads=2).get_session_options()
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_only_threads_of_onnx_runtime_can_sleep(onnx_artifact: Path, successor: Path) -> None:
    two, one = (load_model(open_source(onnx_artifact), threads=threads) for threads in (2, 1))
    assert can_sleep(two)
    assert isinstance(adaptive(two), SpinningChoice)
    for model in (one, load_model(open_source(successor)), replace(two, predictor=Timed(Clock(), 1))):
        assert not can_sleep(model)
        assert adaptive(model) is model.predictor


def test_a_file_that_was_replaced_is_not_opened(onnx_artifact: Path, tmp_path: Path) -> None:
    folder = tmp_path / "onnx"
    shutil.copytree(onnx_artifact, folder)
    choice = adaptive(load_model(open_source(folder), threads=2))
    assert isinstance(choice, SpinningChoice)
    assert choice._open_sleeping()
    shutil.copy(onnx_artifact / "model.onnx", folder / "other.onnx")
    (folder / "other.onnx").rename(folder / "model.onnx")
    with pytest.raises(ModelError, match="has been replaced"):
        choice._open_sleeping()
