"""The engine against a model that can be held, broken and watched. The faults are those of real servers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from replank.errors import DeadlineError, NotReadyError, OverloadedError, ReplankError, UsageError
from replank.runtime import Logits, Model
from replank.source import Source
from replank.tasks import Task
from replank.text import Batch, TextEncoder, Tokens
from serve.engine import Engine
from serve.inference import BatchRecord, Inference

WORDS = {"[PAD]": 0, "a": 1, "b": 2, "bomb": 3, "poison": 4, "nan": 5}
TASK = Task("fake", "classification", ("length", "sum"), ("text",), "label", ("accuracy",), max_length=8)


class FakePredictor:
    """Answers with the number and the sum of the token ids, so that every answer can be told from others.

    While ``gate`` is closed a batch waits in it; ``running`` is set once one does.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Event()
        self.broken = False
        self.slow_restart = False

    def __call__(self, batch: Batch) -> Logits:
        self.running.set()
        assert self.gate.wait(10)
        self.batches.append(batch.shape)
        if WORDS["bomb"] in batch.input_ids:
            raise RuntimeError("boom")
        if WORDS["poison"] in batch.input_ids:
            if self.slow_restart:
                self.gate.clear()
            raise SystemExit("the thread ends")
        if self.broken:
            raise RuntimeError("the model is broken")
        logits = np.stack([batch.attention_mask.sum(axis=1), batch.input_ids.sum(axis=1)], axis=1).astype(np.float32)
        logits[(batch.input_ids == WORDS["nan"]).any(axis=1)] = np.nan
        return logits

    def hold(self) -> None:
        """Let the next batch wait until :attr:`gate` is set."""
        self.running.clear()
        self.gate.clear()


def word_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[PAD]"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def fake_model(predictor: FakePredictor) -> Model:
    encoder = TextEncoder(word_tokenizer(), pad_id=0, max_length=8, segments=False)
    return Model(Source("fake", Path("fake"), "onnx", {}, None), TASK, encoder, predictor, "cpu")


def make_engine(predictor: FakePredictor, model: Model | None = None, **settings: Any) -> Engine:
    limits = {"max_batch": 4, "max_batch_tokens": 32, "max_queue_tokens": 100}
    return Engine(model or fake_model(predictor), **limits | settings)


@asynccontextmanager
async def warm_engine(predictor: FakePredictor, model: Model | None = None, **settings: Any) -> AsyncIterator[Engine]:
    engine = make_engine(predictor, model, **settings)
    engine.start()
    await engine.started()
    predictor.batches.clear()
    yield engine
    predictor.gate.set()
    await engine.close(5)


async def until_waiting(engine: Engine, items: int) -> None:
    async with asyncio.timeout(5):
        while engine.waiting != items or engine._tokenizers.items:
            await asyncio.sleep(0.001)


def state_of(engine: Engine) -> str:
    """A state that type checkers do not expect to stay."""
    return engine.state


async def hold_one(engine: Engine, predictor: FakePredictor) -> asyncio.Task[Any]:
    """A request that occupies the model until the gate opens."""
    predictor.hold()
    task = asyncio.create_task(engine.infer(["a"], timeout=10))
    assert await asyncio.to_thread(predictor.running.wait, 5)
    return task


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


def test_every_request_gets_its_own_rows_in_its_own_order() -> None:
    async def work() -> None:
        async with warm_engine(FakePredictor(), max_queue_tokens=5000) as engine:
            requests = [["a " * (1 + (3 * n + row) % 7) + "b" for row in range(1 + n % 5)] for n in range(60)]
            answers = await asyncio.gather(*(engine.infer(texts, timeout=10) for texts in requests))
        for texts, answer in zip(requests, answers, strict=True):
            counts = [text.count("a") for text in texts]
            assert answer.logits.tolist() == [[count + 1, count + 2] for count in counts]
            assert 1 <= answer.batch_size <= 4
            assert min(answer.tokenization_ms, answer.queue_ms, answer.inference_ms) >= 0

    run(work())


def test_a_batch_is_what_queued_while_the_one_before_ran() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            first = await hold_one(engine, predictor)
            others = [asyncio.create_task(engine.infer(["a b"], timeout=10)) for _ in range(6)]
            await until_waiting(engine, 6)
            predictor.gate.set()
            await first
            sizes = sorted([(await other).batch_size for other in others])
        assert predictor.batches == [(1, 1), (4, 2), (2, 2)]
        assert sizes == [2, 2, 4, 4, 4, 4]

    run(work())


def test_the_warm_up_runs_the_least_and_the_most_before_ready() -> None:
    predictor = FakePredictor()
    predictor.hold()

    async def work() -> None:
        engine = make_engine(predictor)
        engine.start()
        assert state_of(engine) == "starting"
        with pytest.raises(NotReadyError, match="warming up"):
            await engine.infer(["a"], timeout=1)
        predictor.gate.set()
        await engine.started()
        assert state_of(engine) == "ready"
        assert predictor.batches == [(1, 1), (4, 8)]
        await engine.close(1)

    run(work())


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


def test_admission_counts_tokens_not_requests() -> None:
    """text-embeddings-inference #662: batch requests went past the limit that refused single ones."""
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor, max_queue_tokens=30) as engine:
            first = await hold_one(engine, predictor)
            twelve = asyncio.create_task(engine.infer(["a a a"] * 4, timeout=10))
            await until_waiting(engine, 4)
            assert engine.waiting_tokens == 12
            # Not tokenized yet, each counts with what it can have at most: 8 tokens.
            with pytest.raises(OverloadedError, match=r"^12 tokens wait already, and at most 30 may$") as refused:
                await engine.infer(["a a a"] * 3, timeout=10)
            assert refused.value.retry_after == 1
            fourteen = asyncio.create_task(engine.infer(["a a a a a a a", "a a a a a a a"], timeout=10))
            await until_waiting(engine, 6)
            with pytest.raises(OverloadedError, match="26 tokens wait"):
                await engine.infer(["a"], timeout=10)
            predictor.gate.set()
            for task, rows in ((first, 1), (twelve, 4), (fourteen, 2)):
                assert len((await task).logits) == rows
            assert (engine.waiting, engine.waiting_tokens) == (0, 0)

    run(work())


def test_a_request_larger_than_the_queue_is_answered_when_nothing_waits() -> None:
    """text-embeddings-inference #723: an input larger than the budget was never answered."""
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor, max_queue_tokens=2, max_batch_tokens=3) as engine:
            answer = await engine.infer(["a a a a a a a", "a", "a b"], timeout=5)
            assert answer.logits.tolist() == [[7, 7], [1, 1], [2, 3]]
        assert sorted(predictor.batches) == [(1, 1), (1, 2), (1, 7)]

    run(work())


def test_padded_tokens_bound_a_batch() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor, max_batch=8, max_batch_tokens=12) as engine:
            first = await hold_one(engine, predictor)
            others = asyncio.create_task(engine.infer(["a b a b", "a b", "a b a b", "a b a b", "a b a"], timeout=10))
            await until_waiting(engine, 5)
            predictor.gate.set()
            await asyncio.gather(first, others)
        assert predictor.batches == [(1, 1), (3, 4), (2, 3)]

    run(work())


def test_what_ran_is_recorded_batch_by_batch() -> None:
    predictor, records = FakePredictor(), list[BatchRecord]()

    async def work() -> None:
        async with warm_engine(predictor, on_batch=records.append) as engine:
            first = await hold_one(engine, predictor)
            assert (engine.waiting, engine.running) == (0, 1)
            other = asyncio.create_task(engine.infer(["a b a", "a"], timeout=10))
            await until_waiting(engine, 2)
            predictor.gate.set()
            await first
            answer = await other
            assert [len(tokens) for tokens in answer.tokens] == [3, 1]
            assert engine.running == 0

    run(work())
    assert [(record.items, record.tokens, record.padded_tokens) for record in records] == [(1, 1, 1), (2, 4, 6)]
    assert all(record.seconds > 0 for record in records)


def test_tokenizing_alone_runs_no_model() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            assert [one.ids for one in await engine.tokenize(["a b", "b"], timeout=5)] == [[1, 2], [2]]
            engine.drain()
            with pytest.raises(NotReadyError):
                await engine.tokenize(["a"], timeout=5)
        assert predictor.batches == []

    run(work())


def test_a_tokenizer_that_fails_fails_only_its_request() -> None:
    class Broken(TextEncoder):
        def tokenize(self, first: Sequence[str], *others: Any, **options: Any) -> list[Tokens]:
            if "trap" in first:
                raise ValueError("no such text")
            return super().tokenize(first, *others, **options)

    predictor = FakePredictor()
    model = replace(
        fake_model(predictor), text_encoder=Broken(word_tokenizer(), pad_id=0, max_length=8, segments=False)
    )

    async def work() -> None:
        async with warm_engine(predictor, model) as engine:
            bad, good = await asyncio.gather(
                engine.infer(["trap"], timeout=5), engine.infer(["a"], timeout=5), return_exceptions=True
            )
            assert isinstance(bad, ValueError)
            assert isinstance(good, Inference)
            assert (engine.state, engine.waiting_tokens) == ("ready", 0)

    run(work())


def test_a_model_of_tokens_answers_each_without_padding() -> None:
    class Tagger(FakePredictor):
        def __call__(self, batch: Batch) -> Logits:
            self.batches.append(batch.shape)
            return np.stack([batch.input_ids, batch.attention_mask], axis=2).astype(np.float32)

    predictor = Tagger()
    model = replace(fake_model(predictor), task=replace(TASK, kind="token-classification"))

    async def work() -> None:
        async with warm_engine(predictor, model) as engine:
            answer = await engine.infer(["a b a", "b"], timeout=5)
            assert [row.tolist() for row in answer.rows] == [[[1, 1], [2, 1], [1, 1]], [[2, 1]]]
            assert [one.starts for one in answer.tokens] == [(0, 1, 2), (0,)]
        assert predictor.batches == [(2, 3)]

    run(work())


def test_an_exception_fails_only_its_batch(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with warm_engine(FakePredictor()) as engine:
            with pytest.raises(ReplankError, match="the model failed on this request"):
                await engine.infer(["bomb"], timeout=5)
            assert engine.state == "ready"
            assert (await engine.infer(["a b"], timeout=5)).logits.tolist() == [[2, 3]]

    run(work())
    assert "a batch of 1 failed" in caplog.text
    assert "boom" in caplog.text


def test_a_failed_batch_ends_the_whole_request_and_no_other() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor, max_batch=2) as engine:
            first = await hold_one(engine, predictor)
            mixed = asyncio.create_task(engine.infer(["bomb", "a", "a", "a", "a", "a"], timeout=5))
            await until_waiting(engine, 6)
            other = asyncio.create_task(engine.infer(["b b", "b b"], timeout=5))
            await until_waiting(engine, 8)
            predictor.gate.set()
            with pytest.raises(ReplankError, match="failed on this request"):
                await mixed
            assert (await first).logits.tolist() == [[1, 1]]
            assert (await other).logits.tolist() == [[2, 4], [2, 4]]
            assert engine.waiting == 0

    run(work())


def test_a_thread_that_dies_fails_its_batch_and_is_started_again() -> None:
    """infinity pull request #668: futures hung, health stayed green, and the queue filled up for good."""
    predictor = FakePredictor()
    predictor.slow_restart = True

    async def work() -> None:
        async with warm_engine(predictor, max_batch=1) as engine:
            first = await hold_one(engine, predictor)
            bad = asyncio.create_task(engine.infer(["poison"], timeout=10))
            good = asyncio.create_task(engine.infer(["a " * 8] * 2, timeout=10))
            await until_waiting(engine, 3)
            predictor.gate.set()
            await first
            with pytest.raises(NotReadyError, match="the inference thread died on this request"):
                await bad
            assert state_of(engine) == "restarting"
            with pytest.raises(NotReadyError, match="is being started again"):
                await engine.infer(["a"], timeout=1)
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
                await engine.infer(["poison"], timeout=10)
            async with asyncio.timeout(5):
                while state_of(engine) != "ready":
                    await asyncio.sleep(0.001)
            first = await hold_one(engine, predictor)
            waiting = [asyncio.create_task(engine.infer([text], timeout=10)) for text in ("poison", "a " * 8)]
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
                await engine.infer(["a"], timeout=1)

    run(work())


def test_a_restart_that_fails_to_warm_up_is_the_end() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            predictor.broken = True
            with pytest.raises(NotReadyError):
                await engine.infer(["poison"], timeout=10)
            assert "broken" in str(await asyncio.wait_for(engine.died(), 5))
            assert engine.state == "dead"

    run(work())


def test_a_thread_that_dies_while_draining_is_started_again_for_what_waits() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor, max_batch=1) as engine:
            first = await hold_one(engine, predictor)
            bad = asyncio.create_task(engine.infer(["poison"], timeout=10))
            good = asyncio.create_task(engine.infer(["a " * 8], timeout=10))
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


def test_one_engine_takes_the_place_of_another_and_loses_nothing() -> None:
    async def work() -> None:
        async with warm_engine(FakePredictor()) as old, warm_engine(FakePredictor()) as new:
            current, done = old, 0

            async def client() -> None:
                nonlocal done
                while done < 400:
                    assert (await current.infer(["a b"], timeout=5)).logits.tolist() == [[2, 3]]
                    done += 1

            clients = [asyncio.create_task(client()) for _ in range(8)]
            while done < 100:
                await asyncio.sleep(0.001)
            current = new
            await old.close(5)
            assert (old.state, new.state) == ("closed", "ready")
            assert done < 400
            await asyncio.gather(*clients)

    run(work())


def test_an_answer_that_is_no_number_fails_its_request_and_not_its_mates() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            first = await hold_one(engine, predictor)
            bad = asyncio.create_task(engine.infer(["nan"], timeout=5))
            good = asyncio.create_task(engine.infer(["a"], timeout=5))
            await until_waiting(engine, 2)
            predictor.gate.set()
            with pytest.raises(ReplankError, match="not a finite number"):
                await bad
            assert (await good).logits.tolist() == [[1, 1]]
            assert (await good).batch_size == 2
            await first

    run(work())


def test_a_text_without_tokens_is_refused_alone() -> None:
    async def work() -> None:
        async with warm_engine(FakePredictor()) as engine:
            with pytest.raises(UsageError, match="empty after tokenization"):
                await engine.infer(["a", ""], timeout=5)
            assert (await engine.infer(["a"], timeout=5)).logits.tolist() == [[1, 1]]

    run(work())


def test_cancelled_requests_leave_no_trace() -> None:
    """Ray #41057 and #42593: clients that went away poisoned the batches of later ones."""
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            first = await hold_one(engine, predictor)
            for _ in range(20):
                gone = asyncio.create_task(engine.infer(["b", "b b"], timeout=10))
                await until_waiting(engine, 2)
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)
                assert engine.waiting == 0
            predictor.gate.set()
            await first
            answers = await asyncio.gather(*(engine.infer(["a"], timeout=5) for _ in range(8)))
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
            assert 0.09 < time.monotonic() - started < 2
            assert engine.waiting == 0
            predictor.gate.set()
            await first
            await engine.infer(["a"], timeout=5)
        assert predictor.batches == [(1, 1), (1, 1)]

    run(work())


def test_closing_ends_what_was_admitted_and_admits_nothing() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor) as engine:
            first = await hold_one(engine, predictor)
            second = asyncio.create_task(engine.infer(["b"], timeout=10))
            await until_waiting(engine, 1)
            closing = asyncio.create_task(engine.close(10))
            await asyncio.sleep(0)
            assert state_of(engine) == "draining"
            with pytest.raises(NotReadyError, match="shutting down"):
                await engine.infer(["a"], timeout=1)
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
            started = time.monotonic()
            await engine.close(0.1)
            assert time.monotonic() - started < 3
            with pytest.raises(NotReadyError, match="shutting down"):
                await hung

    run(work())


def test_an_idle_engine_costs_no_cpu() -> None:
    async def work() -> None:
        async with warm_engine(FakePredictor()) as engine:
            await engine.infer(["a"], timeout=5)
            before = time.process_time()
            await asyncio.sleep(0.6)
            assert time.process_time() - before < 0.02

    run(work())
