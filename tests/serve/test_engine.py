"""What the engine answers, in which batches, and what it lets in."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from held_model import (
    TASK,
    FakePredictor,
    fake_model,
    hold_one,
    make_engine,
    run,
    state_of,
    until_waiting,
    warm_engine,
)
from replank.runtime.predictors import Logits
from replank.system.errors import NotReadyError, OverloadedError, UsageError
from replank.tasks.kinds import KINDS
from replank.text.padding import Batch
from replank_serve.engine.inference import BatchRecord
from waiting import HANG_SECONDS


def test_every_request_gets_its_own_rows_in_its_own_order() -> None:
    async def work() -> None:
        async with warm_engine(FakePredictor(), max_queue_tokens=5000) as engine:
            requests = [["a " * (1 + (3 * n + row) % 7) + "b" for row in range(1 + n % 5)] for n in range(60)]
            answers = await asyncio.gather(*(engine.infer(texts, timeout=HANG_SECONDS) for texts in requests))
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
            others = [asyncio.create_task(engine.infer(["a b"], timeout=HANG_SECONDS)) for _ in range(6)]
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
            await engine.infer(["a"], timeout=HANG_SECONDS)
        predictor.gate.set()
        await engine.started()
        assert state_of(engine) == "ready"
        assert predictor.batches == [(1, 1), (4, 8)]
        await engine.close(1)

    run(work())


def test_admission_counts_tokens_not_requests() -> None:
    """text-embeddings-inference #662: batch requests went past the limit that refused single ones."""
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor, max_queue_tokens=30) as engine:
            first = await hold_one(engine, predictor)
            twelve = asyncio.create_task(engine.infer(["a a a"] * 4, timeout=HANG_SECONDS))
            await until_waiting(engine, 4)
            assert engine.waiting_tokens == 12
            # Not tokenized yet, each counts with what it can have at most: 8 tokens.
            with pytest.raises(OverloadedError, match=r"^12 tokens wait already, and at most 30 may$") as refused:
                await engine.infer(["a a a"] * 3, timeout=HANG_SECONDS)
            assert refused.value.retry_after == 1
            fourteen = asyncio.create_task(engine.infer(["a a a a a a a", "a a a a a a a"], timeout=HANG_SECONDS))
            await until_waiting(engine, 6)
            with pytest.raises(OverloadedError, match="26 tokens wait"):
                await engine.infer(["a"], timeout=HANG_SECONDS)
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
            answer = await engine.infer(["a a a a a a a", "a", "a b"], timeout=HANG_SECONDS)
            assert answer.logits.tolist() == [[7, 7], [1, 1], [2, 3]]
        assert sorted(predictor.batches) == [(1, 1), (1, 2), (1, 7)]

    run(work())


def test_padded_tokens_bound_a_batch() -> None:
    predictor = FakePredictor()

    async def work() -> None:
        async with warm_engine(predictor, max_batch=8, max_batch_tokens=12) as engine:
            first = await hold_one(engine, predictor)
            others = asyncio.create_task(
                engine.infer(["a b a b", "a b", "a b a b", "a b a b", "a b a"], timeout=HANG_SECONDS)
            )
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
            other = asyncio.create_task(engine.infer(["a b a", "a"], timeout=HANG_SECONDS))
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
            assert [one.ids for one in await engine.tokenize(["a b", "b"], timeout=HANG_SECONDS)] == [[1, 2], [2]]
            engine.drain()
            with pytest.raises(NotReadyError):
                await engine.tokenize(["a"], timeout=HANG_SECONDS)
        assert predictor.batches == []

    run(work())


def test_a_model_of_tokens_answers_each_without_padding() -> None:
    class Tagger(FakePredictor):
        def __call__(self, batch: Batch) -> Logits:
            self.batches.append(batch.shape)
            return np.stack([batch.input_ids, batch.attention_mask], axis=2).astype(np.float32)

    predictor = Tagger()
    model = replace(fake_model(predictor), task=replace(TASK, kind=KINDS["token-classification"]))

    async def work() -> None:
        async with warm_engine(predictor, model) as engine:
            answer = await engine.infer(["a b a", "b"], timeout=HANG_SECONDS)
            assert [row.tolist() for row in answer.rows] == [[[1, 1], [2, 1], [1, 1]], [[2, 1]]]
            assert [one.starts for one in answer.tokens] == [(0, 1, 2), (0,)]
        assert predictor.batches == [(2, 3)]

    run(work())


def test_a_text_without_tokens_is_refused_alone() -> None:
    async def work() -> None:
        async with warm_engine(FakePredictor()) as engine:
            with pytest.raises(UsageError, match="empty after tokenization"):
                await engine.infer(["a", ""], timeout=HANG_SECONDS)
            assert (await engine.infer(["a"], timeout=HANG_SECONDS)).logits.tolist() == [[1, 1]]

    run(work())
