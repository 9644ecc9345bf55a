"""What breaks in the engine harms what it must and nothing else. The faults are those of real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from held_model import (
    WORDS,
    FakePredictor,
    fake_model,
    hold_one,
    make_engine,
    run,
    state_of,
    until_waiting,
    warm_engine,
    word_tokenizer,
)
from replank.runtime.predictors import Logits
from replank.system.errors import NotReadyError, ReplankError
from replank.text.padding import Batch
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens
from replank_serve.engine.inference import Inference
from waiting import HANG_SECONDS


def test_a_model_that_fails_in_its_warm_up_is_never_ready() -> None:
    class Broken(FakePredictor):
        def __call__(self, batch: Batch) -> Logits:
            raise RuntimeError("no kernel")

    async def work() -> None:
        engine = make_engine(Broken())
        engine.start()
        with pytest.raises(ReplankError, match="the model failed in its warm-up: no kernel"):
            await engine.started()
        assert engine.state == "dead"
        await engine.close(1)

    run(work())


def test_a_tokenizer_that_fails_fails_only_its_request() -> None:
    class Broken(TextEncoder):
        def tokenize(self, first: Sequence[str], *others: Any, **options: Any) -> list[Tokens]:
            if "trap" in first:
                raise ValueError("no such text")
            return super().tokenize(first, *others, **options)

    predictor = FakePredictor()
    model = replace(
        fake_model(predictor), text_encoder=Broken(word_tokenizer(), pad_id=0, max_length=8, token_type_ids=False)
    )

    async def work() -> None:
        async with warm_engine(predictor, model) as engine:
            bad, good = await asyncio.gather(
                engine.infer(["trap"], timeout=HANG_SECONDS),
                engine.infer(["a"], timeout=HANG_SECONDS),
                return_exceptions=True,
            )
            assert isinstance(bad, ValueError)
            assert isinstance(good, Inference)
            assert (engine.state, engine.waiting_tokens) == ("ready", 0)

    run(work())


def test_an_exception_fails_only_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with warm_engine(FakePredictor()) as engine:
            with pytest.raises(ReplankError, match="the model failed on this request"):
                await engine.infer(["bomb"], timeout=HANG_SECONDS)
            assert engine.state == "ready"
            assert (await engine.infer(["a b"], timeout=HANG_SECONDS)).logits.tolist() == [[2, 3]]

    run(work())
    assert "the model failed on a text of the request" in caplog.text
    assert "boom" in caplog.text


def test_a_failed_text_ends_the_whole_request_and_no_other() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor, max_batch=2) as engine:
            first = await hold_one(engine, predictor)
            mixed = asyncio.create_task(engine.infer(["bomb", "a", "a", "a", "a", "a"], timeout=HANG_SECONDS))
            await until_waiting(engine, 6)
            other = asyncio.create_task(engine.infer(["b b", "b b"], timeout=HANG_SECONDS))
            await until_waiting(engine, 8)
            predictor.gate.set()
            with pytest.raises(ReplankError, match=r"failed on this request, at inputs\[0\]"):
                await mixed
            assert (await first).logits.tolist() == [[1, 1]]
            assert (await other).logits.tolist() == [[2, 4], [2, 4]]
            assert engine.waiting == 0

    run(work())


def test_the_mates_of_a_text_that_fails_are_answered() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor, max_batch=8, max_batch_tokens=64) as engine:
            first = await hold_one(engine, predictor)
            texts = ["a", "b", "bomb", "a", "b", "bomb", "a", "b"]
            mates = [asyncio.create_task(engine.infer([text], timeout=5)) for text in texts]
            await until_waiting(engine, 8)
            predictor.batches.clear()
            predictor.gate.set()
            answers = await asyncio.gather(*mates, return_exceptions=True)
            for text, answer in zip(texts, answers, strict=True):
                if text == "bomb":
                    assert str(answer) == "the model failed on this request; the server's log says why"
                else:
                    assert isinstance(answer, Inference)
                    assert answer.logits.tolist() == [[1, WORDS[text]]]
            assert (engine.running, engine.waiting) == (0, 0)
            await first
            # The first batch was the held one; then all eight, and halves where one failed.
            assert [rows for rows, _ in predictor.batches[1:]] == [8, 4, 2, 2, 1, 1, 4, 2, 1, 1, 2]

    run(work())


def test_a_thread_that_dies_fails_its_batch_and_is_started_again() -> None:
    """infinity pull request #668: futures hung, health stayed green, and the queue filled up for good."""
    predictor = FakePredictor()
    predictor.slow_restart = True

    async def work() -> None:
        async with warm_engine(predictor, max_batch=1) as engine:
            first = await hold_one(engine, predictor)
            bad = asyncio.create_task(engine.infer(["poison"], timeout=HANG_SECONDS))
            good = asyncio.create_task(engine.infer(["a " * 8] * 2, timeout=HANG_SECONDS))
            await until_waiting(engine, 3)
            predictor.gate.set()
            await first
            with pytest.raises(NotReadyError, match="the inference thread died on this request"):
                await bad
            assert state_of(engine) == "restarting"
            with pytest.raises(NotReadyError, match="is being started again"):
                await engine.infer(["a"], timeout=HANG_SECONDS)
            predictor.gate.set()
            assert (await good).logits.tolist() == [[8, 8]] * 2
            assert (state_of(engine), engine.restarts) == ("ready", 1)
            # Warmed up again before anything else.
            assert predictor.batches == [(1, 1), (1, 1), (1, 1), (1, 8), (1, 8), (1, 8)]

    run(work())


def test_when_the_thread_dies_again_nobody_waits_for_ever() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor, max_batch=1) as engine:
            dying = asyncio.create_task(engine.died())
            with pytest.raises(NotReadyError):
                await engine.infer(["poison"], timeout=HANG_SECONDS)
            async with asyncio.timeout(HANG_SECONDS):
                while state_of(engine) != "ready":
                    await asyncio.sleep(0.001)
            first = await hold_one(engine, predictor)
            waiting = [asyncio.create_task(engine.infer([text], timeout=HANG_SECONDS)) for text in ("poison", "a " * 8)]
            await until_waiting(engine, 2)
            assert not dying.done()
            predictor.gate.set()
            await first
            with pytest.raises(NotReadyError, match="died on this request"):
                await waiting[0]
            with pytest.raises(NotReadyError, match="the inference engine has died"):
                await waiting[1]
            assert (engine.state, engine.waiting, engine.restarts) == ("dead", 0, 1)
            assert str(await dying) == "the inference thread died again: the thread ends"
            with pytest.raises(NotReadyError, match="must be restarted"):
                await engine.infer(["a"], timeout=HANG_SECONDS)

    run(work())


def test_a_restart_that_fails_to_warm_up_is_the_end() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            predictor.broken = True
            with pytest.raises(NotReadyError):
                await engine.infer(["poison"], timeout=HANG_SECONDS)
            assert "broken" in str(await asyncio.wait_for(engine.died(), 5))
            assert engine.state == "dead"

    run(work())


def test_a_thread_that_dies_while_draining_is_started_again_for_what_waits() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor, max_batch=1) as engine:
            first = await hold_one(engine, predictor)
            bad = asyncio.create_task(engine.infer(["poison"], timeout=HANG_SECONDS))
            good = asyncio.create_task(engine.infer(["a " * 8], timeout=HANG_SECONDS))
            await until_waiting(engine, 2)
            closing = asyncio.create_task(engine.close(10))
            await asyncio.sleep(0)
            predictor.gate.set()
            await closing
            assert first.result().logits.tolist() == [[1, 1]]
            assert isinstance(bad.exception(), NotReadyError)
            assert good.result().logits.tolist() == [[8, 8]]
            assert state_of(engine) == "closed"

    run(work())


def test_an_answer_that_is_no_number_fails_its_request_and_not_its_mates() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            first = await hold_one(engine, predictor)
            bad = asyncio.create_task(engine.infer(["nan"], timeout=HANG_SECONDS))
            good = asyncio.create_task(engine.infer(["a"], timeout=HANG_SECONDS))
            await until_waiting(engine, 2)
            predictor.gate.set()
            with pytest.raises(ReplankError, match="not a finite number"):
                await bad
            assert (await good).logits.tolist() == [[1, 1]]
            assert (await good).batch_size == 2
            await first

    run(work())
