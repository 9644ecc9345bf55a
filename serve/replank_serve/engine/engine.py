"""One model, one inference thread: requests are tokenized when admitted, wait, and run in batches.

An engine is one model; several may live in one event loop. Its life: :meth:`Engine.start`, then ``starting`` until
:meth:`Engine.started`, ``ready``, and :meth:`Engine.close`. A new artifact takes an old one's place without a lost
request when an engine of it is started, awaited and put in the place, and then the old one closed; whoever looks the
engine up must call :meth:`Engine.infer` without an ``await`` between.

Every request ends, with an answer or with one of the errors of :meth:`Engine.infer`. When the inference thread dies,
its batch fails and it is started once more, during which the engine is not ready; the second time the engine is dead.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from replank.runtime.model import Model
from replank.system.errors import DeadlineError, NotReadyError, ReplankError
from replank.text.tokenization import Tokens
from replank_serve.engine.admission import Admission
from replank_serve.engine.batching import BatchLimits, BatchQueue, Item
from replank_serve.engine.inference import BatchRecord as BatchRecord
from replank_serve.engine.inference import Inference as Inference
from replank_serve.engine.inference import Ticket
from replank_serve.engine.limits import EngineLimits
from replank_serve.engine.request_id import REQUEST_ID
from replank_serve.engine.tokenizing import Tokenizing
from replank_serve.engine.worker import Died, Done, Failed, Report, Warm, Worker

_log = logging.getLogger(__name__)
_SECONDS_TO_JOIN = 1.0

State = Literal["starting", "ready", "restarting", "draining", "dead", "closed"]
_NOT_READY = {
    "starting": "the model is loading and warming up",
    "restarting": "the inference thread died and is being started again",
    "draining": "the server is shutting down",
    "dead": "the inference engine has died; the server must be restarted",
    "closed": "the server is shutting down",
}


class Engine:
    """Runs a model for many clients. All methods belong to the event loop that :meth:`start` was called in.

    :param on_batch: called in the event loop after each batch.
    """

    def __init__(
        self, model: Model, limits: EngineLimits, on_batch: Callable[[BatchRecord], None] | None = None
    ) -> None:
        self._model = model
        self._limits = BatchLimits(limits.max_batch, limits.max_batch_tokens)
        self._admission = Admission(limits.max_queue_tokens)
        self._on_batch = on_batch
        self._queue: BatchQueue[Ticket] = BatchQueue(self._limits)
        self._tokenizing = Tokenizing(model)
        self._worker = self._new_worker()
        self._loop: asyncio.AbstractEventLoop
        self._state: State = "starting"
        self._settled = asyncio.Event()
        self._death: asyncio.Future[ReplankError]
        self._restarts = 0
        self._tickets: set[Ticket] = set()
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def state(self) -> State:
        """``starting`` until warm, ``ready``, ``draining`` and ``closed``; ``restarting`` or ``dead`` after a fault."""
        return self._state

    @property
    def waiting(self) -> int:
        """Items that were admitted and do not run yet."""
        return self._tokenizing.items + len(self._queue)

    @property
    def waiting_tokens(self) -> int:
        """Tokens of those items; of an item that is being tokenized, the most that it can have."""
        return self._tokenizing.tokens + self._queue.tokens

    @property
    def running(self) -> int:
        """Items of the batch that runs now."""
        return self._worker.running

    @property
    def restarts(self) -> int:
        """How often the inference thread died and was started again: 0 or 1."""
        return self._restarts

    def start(self) -> None:
        """Start the inference thread, which warms up first."""
        self._loop = asyncio.get_running_loop()
        self._death = self._loop.create_future()
        self._worker.start()

    async def started(self) -> None:
        """Wait for the end of the warm-up.

        :raises ReplankError: the model failed in it.
        """
        await self._settled.wait()
        if self._death.done():
            raise self._death.result()

    async def died(self) -> ReplankError:
        """Wait until the engine is dead, which a sound one never is, and say why."""
        return await asyncio.shield(self._death)

    async def infer(self, first: Sequence[str], second: Sequence[str] | None = None, *, timeout: float) -> Inference:
        """The logits of one request's texts or pairs.

        When the caller is cancelled, what waits of the request is forgotten.

        :param timeout: seconds until the caller has no use for the answer any more; waiting counts.
        :raises OverloadedError: more tokens would wait than may.
        :raises NotReadyError: the engine is not warm, is draining, or is dead.
        :raises DeadlineError: the time is over.
        :raises UsageError: a text without any token, which only a tokenizer without special tokens makes.
        :raises ReplankError: the model failed on the batch that the request was in.
        """
        self._admit(first, second)
        async with self._request(timeout):
            return await self._answer(first, second, time.monotonic() + timeout)

    async def tokenize(
        self, first: Sequence[str], second: Sequence[str] | None = None, *, timeout: float
    ) -> list[Tokens]:
        """The tokens of texts or pairs, as :meth:`infer` would run them; it raises what that does."""
        self._admit(first, second)
        async with self._request(timeout):
            return await self._tokenizing.tokenize(first, second)

    def drain(self) -> None:
        """Admit nothing more; what was admitted goes on."""
        if self._state in ("starting", "ready", "restarting"):
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
        self._tokenizing.close()
        await asyncio.to_thread(self._worker.join, _SECONDS_TO_JOIN)

    def _admit(self, first: Sequence[str], second: Sequence[str] | None) -> None:
        if self._state != "ready":
            raise NotReadyError(_NOT_READY[self._state])
        self._admission.admit(self._tokenizing.most_tokens(first, second), self.waiting_tokens)

    @asynccontextmanager
    async def _request(self, timeout: float) -> AsyncIterator[None]:
        """What must end in time, and before the engine does."""
        self._requests += 1
        self._idle.clear()
        try:
            async with asyncio.timeout(timeout):
                yield
        except TimeoutError:
            raise DeadlineError(f"no answer within {timeout:.3g} seconds") from None
        finally:
            self._requests -= 1
            if not self._requests:
                self._idle.set()

    async def _answer(self, first: Sequence[str], second: Sequence[str] | None, deadline: float) -> Inference:
        arrived = time.monotonic()
        tokens = await self._tokenizing.tokenize(first, second)
        if self._state in ("dead", "closed"):
            raise NotReadyError(_NOT_READY[self._state])
        ticket = Ticket(self._loop.create_future(), REQUEST_ID.get(), len(tokens))
        queued = time.monotonic()
        self._tickets.add(ticket)
        try:
            self._queue.put([Item(ticket, row, item, deadline) for row, item in enumerate(tokens)])
            await ticket.future
        finally:
            self._tickets.discard(ticket)
            if ticket.missing:
                self._queue.remove(ticket)
        return Inference(
            ticket.answered(),
            tokens,
            tokenization_ms=1e3 * (queued - arrived),
            queue_ms=1e3 * (ticket.started - queued),
            inference_ms=1e3 * (ticket.ended - ticket.started),
            batch_size=ticket.batch_size,
        )

    def _new_worker(self) -> Worker:
        return Worker(self._model, self._queue, self._limits, self._report)

    def _report(self, report: Report) -> None:
        """Have the event loop take a report; this is called in the inference thread."""
        try:
            self._loop.call_soon_threadsafe(self._take, report)
        except RuntimeError:  # the loop is closed: nobody waits for anything any more
            _log.debug("the event loop ended before the inference thread")

    def _take(self, report: Report) -> None:
        match report:
            case Warm():
                self._become_ready()
            case Done():
                self._deliver(report)
            case Failed(batch):
                _fail(batch, ReplankError("the model failed on this request; the server's log says why"))
            case Died(error, batch):
                _log.error("the inference thread died", exc_info=error)
                _fail(batch, NotReadyError("the inference thread died on this request"))
                self._recover(error)

    def _become_ready(self) -> None:
        if self._state in ("starting", "restarting"):
            self._state = "ready"
        self._settled.set()

    def _deliver(self, done: Done) -> None:
        tokens = 0
        for item, row in zip(done.batch, done.rows, strict=True):
            tokens += len(item.tokens)
            item.owner.ran(done.started, done.ended, len(done.batch))
            if row is None:
                item.owner.fail(ReplankError("the model's answer to this text is not a finite number"))
            else:
                item.owner.fill(item.row, row)
        seconds = done.ended - done.started
        self._admission.learn(tokens, seconds)
        if self._on_batch:
            self._on_batch(BatchRecord(len(done.batch), tokens, done.length * len(done.batch), seconds))

    def _recover(self, error: BaseException) -> None:
        """Start the thread once more; an engine that was never ready, or has been started again, is dead."""
        if self._state == "closed":
            return
        if self._settled.is_set() and not self._restarts:
            self._restarts += 1
            if self._state == "ready":
                self._state = "restarting"
            self._worker = self._new_worker()
            self._worker.start()
            return
        occasion = "the inference thread died again" if self._restarts else "the model failed in its warm-up"
        death = ReplankError(f"{occasion}: {error}")
        death.__cause__ = error
        self._state = "dead"
        self._settled.set()
        self._death.set_result(death)
        self._fail_all()

    def _fail_all(self) -> None:
        for ticket in self._tickets:
            ticket.fail(NotReadyError(_NOT_READY[self._state]))


def _fail(batch: list[Item[Ticket]], error: ReplankError) -> None:
    for item in batch:
        item.owner.fail(error)
