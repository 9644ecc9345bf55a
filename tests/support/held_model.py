"""A model that can be held, broken and watched, and an engine of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from replank.models.source import Source
from replank.runtime.model import Model
from replank.runtime.predictors import Logits
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from replank.text.padding import Batch
from replank.text.tokenization import TextEncoder
from replank_serve.engine.engine import BatchRecord, Engine
from replank_serve.engine.limits import EngineLimits
from waiting import HANG_SECONDS

WORDS = {"[PAD]": 0, "a": 1, "b": 2, "bomb": 3, "poison": 4, "nan": 5}


TASK = Task("fake", KINDS["classification"], ("length", "sum"), ("text",), "label", ("accuracy",), max_length=8)


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
        assert self.gate.wait(HANG_SECONDS)
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
    encoder = TextEncoder(word_tokenizer(), pad_id=0, max_length=8, token_type_ids=False)
    return Model(Source("fake", Path("fake"), "onnx", {}, None, TASK), TASK, encoder, predictor, "cpu")


def make_engine(
    predictor: FakePredictor,
    model: Model | None = None,
    on_batch: Callable[[BatchRecord], None] | None = None,
    **limits: int,
) -> Engine:
    defaults = {"max_batch": 4, "max_batch_tokens": 32, "max_queue_tokens": 100}
    return Engine(model or fake_model(predictor), EngineLimits(**defaults | limits), on_batch)


@asynccontextmanager
async def warm_engine(predictor: FakePredictor, model: Model | None = None, **settings: Any) -> AsyncIterator[Engine]:
    engine = make_engine(predictor, model, **settings)
    engine.start()
    await engine.started()
    predictor.batches.clear()
    yield engine
    predictor.gate.set()
    await engine.close(HANG_SECONDS)


async def until_waiting(engine: Engine, items: int) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while engine.waiting != items or engine._tokenizing.items:
            await asyncio.sleep(0.001)


def state_of(engine: Engine) -> str:
    """A state that type checkers do not expect to stay."""
    return engine.state


async def hold_one(engine: Engine, predictor: FakePredictor) -> asyncio.Task[Any]:
    """A request that occupies the model until the gate opens."""
    predictor.hold()
    task = asyncio.create_task(engine.infer(["a"], timeout=HANG_SECONDS))
    assert await asyncio.to_thread(predictor.running.wait, HANG_SECONDS)
    return task


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, HANG_SECONDS))


class Held:
    """A predictor that waits until it is let go."""

    def __init__(self, model: Model) -> None:
        self.gate = threading.Event()
        self._predictor = model.predictor

    def __call__(self, batch: Batch) -> Logits:
        assert self.gate.wait(HANG_SECONDS)
        return self._predictor(batch)
