"""The engine: one model and one inference thread; requests are tokenized at admission, queued, and run in batches.

Life cycle: :meth:`Engine.start`, then ``starting`` until :meth:`Engine.started`, ``ready``, and :meth:`Engine.close`.
Several engines may share an event loop. To replace a model without losing a request, start and await the new engine,
swap it in, then close the old one; between looking an engine up and calling :meth:`Engine.infer` there must be no
``await``.

Every request ends, with an answer or with one of the errors of :meth:`Engine.infer`. When the inference thread dies,
its batch fails and the thread is restarted once; meanwhile the engine is not ready. The second time, it is dead.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Literal

from replank.runtime.model import Model
from replank.system.errors import NotReadyError, ReplankError, UsageError
from replank.text.tokens import Tokens
from replank_serve.engine.admission import Admission
from replank_serve.engine.batching import BatchLimits, BatchQueue, Item
from replank_serve.engine.deadlines import Deadlines
from replank_serve.engine.in_flight import InFlight
from replank_serve.engine.inference import BatchRecord as BatchRecord
from replank_serve.engine.inference import Inference as Inference
from replank_serve.engine.inference import PendingRequest
from replank_serve.engine.limits import EngineLimits
from replank_serve.engine.request_id import REQUEST_ID
from replank_serve.engine.spinning import SpinningChoice, adaptive
from replank_serve.engine.tokenizing import Tokenizing
from replank_serve.engine.worker import BatchDone, ItemFailed, Report, ThreadDied, WarmedUp, Worker

_log = logging.getLogger(__name__)
_JOIN_SECONDS = 1.0

State = Literal["starting", "ready", "restarting", "draining", "dead", "closed"]
_NOT_READY = {
    "starting": "the model is loading and warming up",
    "restarting": "the inference thread died and is being started again",
    "draining": "the server is shutting down",
    "dead": "the inference engine has died; the server must be restarted",
    "closed": "the server is shutting down",
}


class Engine:
    """A model behind a queue. All methods belong to the event loop that called :meth:`start`.

    :param on_batch: called in the event loop after each batch.
    """

    def __init__(
        self, model: Model, limits: EngineLimits, on_batch: Callable[[BatchRecord], None] | None = None
    ) -> None:
        self._model = model
        most = limits.max_batch
        if model.task.kind.is_over_vocabulary:  # whose answers are large
            most = min(most, model.task.kind.evaluation_batch)
        self._batch_limits = BatchLimits(most, limits.max_batch_tokens)
        self._admission = Admission(limits.max_queue_tokens)
        self._on_batch = on_batch
        self._queue: BatchQueue[PendingRequest] = BatchQueue(self._batch_limits)
        self._tokenizing = Tokenizing(model)
        self._predictor = adaptive(model)
        self._worker = self._new_worker()
        self._loop: asyncio.AbstractEventLoop
        self._state: State = "starting"
        self._settled = asyncio.Event()
        self._death: asyncio.Future[ReplankError]
        self._restarts = 0
        self._pending = Deadlines()
        self._in_flight = InFlight()

    @property
    def state(self) -> State:
        """``starting`` until warm, ``ready``, ``draining``, ``closed``; ``restarting`` or ``dead`` after a fault."""
        return self._state

    @property
    def waiting(self) -> int:
        """Admitted texts or pairs that are not in the model yet."""
        return self._tokenizing.items + len(self._queue)

    @property
    def waiting_tokens(self) -> int:
        """Tokens of those texts; an upper bound for the ones being tokenized."""
        return self._tokenizing.tokens + self._queue.tokens

    @property
    def running(self) -> int:
        """Size of the batch in the model, or 0."""
        return self._worker.running

    @property
    def restarts(self) -> int:
        """Restarts of the inference thread: 0 or 1."""
        return self._restarts

    @property
    def spins(self) -> bool:
        """Whether the model's threads spin while they wait; they do unless the machine has other work."""
        return not isinstance(self._predictor, SpinningChoice) or self._predictor.spins

    def start(self) -> None:
        """Start the inference thread, which warms the model up first."""
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
        """Wait until the engine is dead; the cause. A healthy engine never returns from this."""
        return await asyncio.shield(self._death)

    async def infer(
        self, first: Sequence[str], second: Sequence[str] | None = None, *, timeout: float, truncate: bool = True
    ) -> Inference:
        """The logits of one request's texts or pairs.

        When the caller is cancelled, the queued texts of the request are dropped.

        :param timeout: deadline in seconds from now; time in the queue counts.
        :param truncate: cut texts that are longer than the model's maximum, rather than refuse them.
        :raises OverloadedError: the queue is full.
        :raises NotReadyError: the engine is warming up, draining, or dead.
        :raises DeadlineError: the deadline passed.
        :raises UsageError: a text is too long, or has no token at all, which needs a tokenizer without special tokens.
        :raises ReplankError: the model failed on one of the texts.
        """
        self._admit(first, second)
        with self._in_flight:
            return await self._answer(first, second, timeout, truncate)

    async def tokenize(
        self, first: Sequence[str], second: Sequence[str] | None = None, *, timeout: float
    ) -> list[Tokens]:
        """The tokens of texts or pairs, as the model would read them; raises the errors of :meth:`infer`."""
        self._admit(first, second)
        with self._in_flight:
            return await self._tokenizing.tokenize(first, second, timeout)

    def drain(self) -> None:
        """Refuse new requests; admitted ones go on."""
        if self._state in ("starting", "ready", "restarting"):
            self._state = "draining"

    def abort(self) -> None:
        """Fail all pending requests."""
        if self._state != "dead":
            self._state = "closed"
        self._fail_all()

    async def close(self, drain_seconds: float) -> None:
        """Drain, fail what is still pending after ``drain_seconds``, and end the threads."""
        self.drain()
        try:
            async with asyncio.timeout(drain_seconds):
                await self._in_flight.wait_until_idle()
        except TimeoutError:
            _log.warning("%d requests were not answered within %g s of draining", len(self._in_flight), drain_seconds)
        self.abort()
        self._pending.close()
        self._queue.close()
        self._tokenizing.close()
        opener = self._predictor.opener if isinstance(self._predictor, SpinningChoice) else None
        for thread in (self._worker.thread, opener):
            # The thread pool may hold on to the call for a while: it must not hold the model with it.
            if thread and thread.is_alive():
                await asyncio.to_thread(thread.join, _JOIN_SECONDS)

    def _admit(self, first: Sequence[str], second: Sequence[str] | None) -> None:
        if self._state != "ready":
            raise NotReadyError(_NOT_READY[self._state])
        self._admission.admit(self._tokenizing.max_tokens(first, second), self.waiting_tokens)

    async def _answer(
        self, first: Sequence[str], second: Sequence[str] | None, timeout: float, truncate: bool
    ) -> Inference:
        arrived = time.monotonic()
        tokens = await self._tokenizing.tokenize(first, second, timeout)
        if not truncate:
            self._require_whole(tokens)
        if self._state in ("dead", "closed"):
            raise NotReadyError(_NOT_READY[self._state])
        deadline = arrived + timeout
        request = PendingRequest(self._loop.create_future(), REQUEST_ID.get(), len(tokens), deadline, timeout)
        queued = time.monotonic()
        self._pending.add(request)
        try:
            self._queue.put([Item(request, row, item, deadline) for row, item in enumerate(tokens)])
            await request.future
        finally:
            self._pending.discard(request)
            if request.missing:
                self._queue.remove(request)
        return Inference(
            request.logits(),
            tokens,
            tokenization_ms=1e3 * (queued - arrived),
            queue_ms=1e3 * (request.started - queued),
            inference_ms=1e3 * (request.ended - request.started),
            batch_size=request.batch_size,
        )

    def _require_whole(self, tokens: Sequence[Tokens]) -> None:
        for number, item in enumerate(tokens):
            if item.is_truncated:
                limit = self._model.text_encoder.max_length
                where = f"inputs[{number}]" if len(tokens) > 1 else "inputs"
                raise UsageError(f"{where}: longer than {limit} tokens, the model's maximum, and truncate is false")

    def _new_worker(self) -> Worker:
        return Worker(self._model, self._predictor, self._queue, self._batch_limits, self._report)

    def _report(self, report: Report) -> None:
        """Pass a report from the inference thread to the event loop."""
        try:
            self._loop.call_soon_threadsafe(self._handle, report)
        except RuntimeError:  # the loop is closed, so nobody waits any more
            _log.debug("the event loop ended before the inference thread")

    def _handle(self, report: Report) -> None:
        match report:
            case WarmedUp():
                self._become_ready()
            case BatchDone():
                self._deliver(report)
            case ItemFailed(item):
                where = f", at inputs[{item.row}]" if item.owner.texts > 1 else ""
                item.owner.fail(ReplankError(f"the model failed on this request{where}; the server's log says why"))
            case ThreadDied(error, batch):
                _log.error("the inference thread died", exc_info=error)
                _fail(batch, NotReadyError("the inference thread died on this request"))
                self._recover(error)

    def _become_ready(self) -> None:
        if self._state in ("starting", "restarting"):
            self._state = "ready"
        self._settled.set()

    def _deliver(self, done: BatchDone) -> None:
        tokens = 0
        for item, row in zip(done.batch, done.rows, strict=True):
            tokens += len(item.tokens)
            item.owner.ran(done.started, done.ended, len(done.batch))
            if row is None:
                item.owner.fail(ReplankError("the model's answer to this text is not a finite number"))
            else:
                item.owner.fill(item.row, row)
        seconds = done.ended - done.started
        self._admission.record(tokens, seconds)
        if self._on_batch:
            self._on_batch(BatchRecord(len(done.batch), tokens, done.length * len(done.batch), seconds))

    def _recover(self, error: BaseException) -> None:
        """Restart the thread, once; an engine that was never ready or was restarted before is dead."""
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
        for request in self._pending:
            request.fail(NotReadyError(_NOT_READY[self._state]))


def _fail(batch: list[Item[PendingRequest]], error: ReplankError) -> None:
    for item in batch:
        item.owner.fail(error)
