"""One model, one inference thread: requests are tokenized when admitted, wait, and run in batches."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from replank.errors import DeadlineError, NotReadyError, OverloadedError, ReplankError, UsageError
from replank.runtime import Logits, Model
from replank.text import Tokens
from serve.batching import BatchQueue, Item

_log = logging.getLogger(__name__)
_TOKENIZER_THREADS = 2
_SECONDS_TO_JOIN = 1.0

State = Literal["starting", "ready", "draining", "dead", "closed"]
_NOT_READY = {
    "starting": "the model is loading and warming up",
    "draining": "the server is shutting down",
    "dead": "the inference engine has died; the server must be restarted",
    "closed": "the server is shutting down",
}


@dataclass(frozen=True)
class Inference:
    """The logits of one request, and where its time went.

    :param logits: shape ``(texts, outputs)``, in the request's order.
    :param tokenization_ms: from admission until all texts were tokenized.
    :param queue_ms: from there until the first of its batches started.
    :param inference_ms: from there until the last of its batches ended.
    :param batch_size: items of the largest batch that it was part of, other requests' included.
    """

    logits: Logits
    tokenization_ms: float
    queue_ms: float
    inference_ms: float
    batch_size: int


class Engine:
    """Runs a model for many clients. All methods belong to the event loop that :meth:`start` was called in.

    :param max_batch: items (texts or pairs) that run together.
    :param max_queue: items that may wait, whichever requests they are of.
    """

    def __init__(self, model: Model, *, max_batch: int, max_queue: int) -> None:
        self._model = model
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._queue: BatchQueue[_Ticket] = BatchQueue(max_batch)
        self._tokenizers = ThreadPoolExecutor(_TOKENIZER_THREADS, thread_name_prefix="replank-tokenizer")
        # A daemon: a batch that hangs in the model must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="replank-inference", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._state: State = "starting"
        self._settled = asyncio.Event()
        self._failure: BaseException | None = None
        self._tickets: set[_Ticket] = set()
        self._tokenizing = 0
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def state(self) -> State:
        """``starting`` until warm, ``ready``, then ``draining`` and ``closed``; ``dead`` after a fault."""
        return self._state

    @property
    def waiting(self) -> int:
        """Items that were admitted and do not run yet."""
        return self._tokenizing + len(self._queue)

    def start(self) -> None:
        """Start the inference thread, which warms up first."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def started(self) -> None:
        """Wait for the end of the warm-up.

        :raises ReplankError: the model failed in it.
        """
        await self._settled.wait()
        if self._failure:
            raise ReplankError(f"the model failed in its warm-up: {self._failure}") from self._failure

    async def infer(self, first: Sequence[str], second: Sequence[str] | None = None, *, timeout: float) -> Inference:
        """The logits of one request's texts or pairs.

        When the caller is cancelled, what waits of the request is forgotten.

        :param timeout: seconds until the caller has no use for the answer any more; waiting counts.
        :raises OverloadedError: more items would wait than may.
        :raises NotReadyError: the engine is not warm, is draining, or is dead.
        :raises DeadlineError: the time is over.
        :raises UsageError: a text without any token, which only a tokenizer without special tokens makes.
        :raises ReplankError: the model failed on the batch that the request was in.
        """
        self._admit(len(first))
        self._requests += 1
        self._idle.clear()
        try:
            async with asyncio.timeout(timeout):
                return await self._answer(first, second, time.monotonic() + timeout)
        except TimeoutError:
            raise DeadlineError(f"no answer within {timeout:.3g} seconds") from None
        finally:
            self._requests -= 1
            if not self._requests:
                self._idle.set()

    def drain(self) -> None:
        """Admit nothing more; what was admitted goes on."""
        if self._state in ("starting", "ready"):
            self._state = "draining"

    def abort(self) -> None:
        """Fail whatever is not answered yet."""
        if self._state != "dead":
            self._state = "closed"
        self._fail_all()

    async def close(self, drain_seconds: float) -> None:
        """Drain for as long as that takes or is allowed, then end the threads."""
        self.drain()
        try:
            async with asyncio.timeout(drain_seconds):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("%d requests were not answered within %g s of draining", self._requests, drain_seconds)
        self.abort()
        self._queue.close()
        self._tokenizers.shutdown(wait=False, cancel_futures=True)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, _SECONDS_TO_JOIN)

    def _admit(self, items: int) -> None:
        """Items are counted, not requests: a request of many costs as much as many requests of one."""
        if self._state != "ready":
            raise NotReadyError(_NOT_READY[self._state])
        if self.waiting + items > self._max_queue:
            raise OverloadedError(
                f"{self.waiting} texts wait already, and at most {self._max_queue} may",
                hint="try again in a moment",
            )

    async def _answer(self, first: Sequence[str], second: Sequence[str] | None, deadline: float) -> Inference:
        arrived = time.monotonic()
        tokens = await self._tokenize(first, second)
        if self._state in ("dead", "closed"):
            raise NotReadyError(_NOT_READY[self._state])
        ticket = _Ticket(
            future=asyncio.get_running_loop().create_future(),
            logits=np.empty((len(tokens), self._model.task.outputs), dtype=np.float32),
            missing=len(tokens),
        )
        queued = time.monotonic()
        self._tickets.add(ticket)
        try:
            self._queue.put([Item(ticket, row, item, deadline) for row, item in enumerate(tokens)])
            await ticket.future
        finally:
            self._tickets.discard(ticket)
            self._queue.remove(ticket)
        return Inference(
            ticket.logits,
            tokenization_ms=1e3 * (queued - arrived),
            queue_ms=1e3 * (ticket.started - queued),
            inference_ms=1e3 * (ticket.ended - ticket.started),
            batch_size=ticket.batch_size,
        )

    async def _tokenize(self, first: Sequence[str], second: Sequence[str] | None) -> list[Tokens]:
        """In a thread: a text of a megabyte takes a second, and the event loop has other clients."""
        self._tokenizing += len(first)
        try:
            tokens = await asyncio.get_running_loop().run_in_executor(
                self._tokenizers, self._model.text_encoder.tokenize, first, second
            )
        finally:
            self._tokenizing -= len(first)
        if not all(tokens):
            raise UsageError("a text is empty after tokenization")
        return tokens

    # The inference thread. It touches nothing of the above but the queue, and reports through `_call`.

    def _work(self) -> None:
        try:
            self._warm_up()
            self._call(self._become_ready)
            while batch := self._queue.take():
                self._run(batch)
        except BaseException as error:  # whatever ends this thread must be known, or clients wait for ever
            self._call(self._die, error)

    def _warm_up(self) -> None:
        """The least and the most that will be asked: memory is allocated and kernels are chosen now."""
        encoder = self._model.text_encoder
        (sample,) = encoder.tokenize(["a"], ["a"] if self._model.task.is_pair else None)
        for rows, length in ((1, 1), (self._max_batch, encoder.max_length)):
            tokens = Tokens((sample.ids or [0])[:1] * length, [0] * length)
            self._model.predictor(encoder.pad([tokens] * rows))

    def _run(self, batch: list[Item[_Ticket]]) -> None:
        started = time.monotonic()
        try:
            logits = self._model.predictor(self._model.text_encoder.pad([item.tokens for item in batch]))
            expected = (len(batch), self._model.task.outputs)
            if logits.shape != expected:
                raise ValueError(f"the model gave logits of shape {logits.shape} instead of {expected}")
        except Exception:
            _log.exception("a batch of %d failed", len(batch))
            self._call(self._fail, batch)
        else:
            self._call(self._deliver, batch, logits, started, time.monotonic())

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        """Have the event loop call a function."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: nobody waits for anything any more
            _log.debug("the event loop ended before the inference thread")

    # Back in the event loop.

    def _become_ready(self) -> None:
        if self._state == "starting":
            self._state = "ready"
        self._settled.set()

    def _deliver(self, batch: list[Item[_Ticket]], logits: Logits, started: float, ended: float) -> None:
        for item, row in zip(batch, logits, strict=True):
            ticket = item.owner
            if not np.isfinite(row).all():
                ticket.fail(ReplankError("the model's answer to this text is not a finite number"))
                continue
            ticket.logits[item.row] = row
            ticket.started = min(ticket.started, started)
            ticket.ended = ended
            ticket.batch_size = max(ticket.batch_size, len(batch))
            ticket.missing -= 1
            if not ticket.missing and not ticket.future.done():
                ticket.future.set_result(None)

    def _fail(self, batch: list[Item[_Ticket]]) -> None:
        for item in batch:
            item.owner.fail(ReplankError("the model failed on this request; the server's log says why"))

    def _die(self, error: BaseException) -> None:
        _log.error("the inference thread died", exc_info=error)
        self._state, self._failure = "dead", error
        self._settled.set()
        self._fail_all()

    def _fail_all(self) -> None:
        for ticket in self._tickets:
            ticket.fail(NotReadyError(_NOT_READY[self._state]))


@dataclass(eq=False)
class _Ticket:
    """What a request waits for.

    :param logits: filled row by row.
    :param missing: rows to come.
    """

    future: asyncio.Future[None]
    logits: Logits
    missing: int
    started: float = float("inf")
    ended: float = 0.0
    batch_size: int = 0

    def fail(self, error: ReplankError) -> None:
        """End the wait; the first error stands."""
        if not self.future.done():
            self.future.set_exception(error)
