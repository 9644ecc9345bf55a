"""How waiting ends: by a deadline, by a client that goes, by closing."""

from __future__ import annotations

import asyncio
import time

import pytest

from held_model import (
    FakePredictor,
    hold_one,
    run,
    state_of,
    until_waiting,
    warm_engine,
)
from replank.system.errors import DeadlineError, NotReadyError
from waiting import HANG_SECONDS


def test_one_engine_takes_the_place_of_another_and_loses_nothing() -> None:
    async def work() -> None:
        async with warm_engine(FakePredictor()) as old, warm_engine(FakePredictor()) as new:
            current, done = old, 0

            async def client() -> None:
                nonlocal done
                while done < 400:
                    assert (await current.infer(["a b"], timeout=HANG_SECONDS)).logits.tolist() == [[2, 3]]
                    done += 1

            clients = [asyncio.create_task(client()) for _ in range(8)]
            while done < 100:
                await asyncio.sleep(0.001)
            current = new
            await old.close(HANG_SECONDS)
            assert (old.state, new.state) == ("closed", "ready")
            assert done < 400
            await asyncio.gather(*clients)

    run(work())


def test_cancelled_requests_leave_no_trace() -> None:
    """Ray #41057 and #42593: clients that went away poisoned the batches of later ones."""
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            first = await hold_one(engine, predictor)
            for _ in range(20):
                gone = asyncio.create_task(engine.infer(["b", "b b"], timeout=HANG_SECONDS))
                await until_waiting(engine, 2)
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)
                assert engine.waiting == 0
            predictor.gate.set()
            await first
            answers = await asyncio.gather(*(engine.infer(["a"], timeout=HANG_SECONDS) for _ in range(8)))
            assert all(answer.logits.tolist() == [[1, 1]] for answer in answers)
        assert all(length == 1 for _, length in predictor.batches)

    run(work())


def test_the_deadline_covers_the_queue_and_expired_items_are_not_computed() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            first = await hold_one(engine, predictor)
            started = time.monotonic()
            with pytest.raises(DeadlineError, match=r"no answer within 0\.1 seconds"):
                await engine.infer(["b b b"], timeout=0.1)
            assert time.monotonic() - started > 0.09
            assert engine.waiting == 0
            predictor.gate.set()
            await first
            await engine.infer(["a"], timeout=HANG_SECONDS)
        assert predictor.batches == [(1, 1), (1, 1)]

    run(work())


def test_closing_ends_what_was_admitted_and_admits_nothing() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            first = await hold_one(engine, predictor)
            second = asyncio.create_task(engine.infer(["b"], timeout=HANG_SECONDS))
            await until_waiting(engine, 1)
            closing = asyncio.create_task(engine.close(HANG_SECONDS))
            await asyncio.sleep(0)
            assert state_of(engine) == "draining"
            with pytest.raises(NotReadyError, match="shutting down"):
                await engine.infer(["a"], timeout=HANG_SECONDS)
            predictor.gate.set()
            await closing
            assert state_of(engine) == "closed"
            assert first.result().logits.tolist() == [[1, 1]]
            assert second.result().logits.tolist() == [[1, 2]]

    run(work())


def test_closing_does_not_wait_for_a_model_that_hangs() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            hung = await hold_one(engine, predictor)
            await engine.close(0.1)
            assert not predictor.gate.is_set()
            with pytest.raises(NotReadyError, match="shutting down"):
                await hung

    run(work())


def test_an_idle_engine_costs_no_cpu() -> None:
    async def work() -> None:
        async with warm_engine(FakePredictor()) as engine:
            await engine.infer(["a"], timeout=HANG_SECONDS)
            before = time.process_time()
            await asyncio.sleep(0.6)
            assert time.process_time() - before < 0.02

    run(work())
