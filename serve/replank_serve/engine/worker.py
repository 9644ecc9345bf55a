"""The inference thread: warms the model up, then runs batch after batch and reports each."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from replank.runtime.masks import mask_places
from replank.runtime.model import Model
from replank.runtime.predictors import Logits, Predictor
from replank.text.tokens import Tokens
from replank_serve.engine.batching import BatchLimits, BatchQueue, Item
from replank_serve.engine.inference import PendingRequest

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WarmedUp:
    """The model ran the smallest and the largest batch that the limits allow."""


@dataclass(frozen=True)
class BatchDone:
    """A batch ran.

    :param rows: logits of each item; ``None`` where one is NaN or infinite.
    :param length: padded length, in tokens.
    :param started: on the clock of :func:`time.monotonic`, like ``ended``.
    """

    batch: list[Item[PendingRequest]]
    rows: list[Logits | None]
    length: int
    started: float
    ended: float


@dataclass(frozen=True)
class ItemFailed:
    """The model raised an exception on one item alone. The thread goes on."""

    item: Item[PendingRequest]


@dataclass(frozen=True)
class ThreadDied:
    """The thread ended with an exception.

    :param batch: the batch that was running, or empty.
    """

    error: BaseException
    batch: list[Item[PendingRequest]]


Report = WarmedUp | BatchDone | ItemFailed | ThreadDied


class Worker:
    """A thread that runs batches from a queue until the queue is closed.

    :param predictor: what runs them, instead of the model's own.
    :param report: called in the thread.
    :ivar thread: it refers to this object only while it runs.
    """

    def __init__(
        self,
        model: Model,
        predictor: Predictor,
        queue: BatchQueue[PendingRequest],
        limits: BatchLimits,
        report: Callable[[Report], None],
    ) -> None:
        self._model = model
        self._predictor = predictor
        self._queue = queue
        self._limits = limits
        self._report = report
        # The batch that has no report yet, and how much of it is in the model now.
        self._batch: list[Item[PendingRequest]] = []
        self._running = 0
        # A daemon: a batch that hangs in the model must not keep the process from ending.
        self.thread = threading.Thread(target=self._work, name="replank-inference", daemon=True)

    @property
    def running(self) -> int:
        """Size of the batch in the model, or 0."""
        return self._running

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def _work(self) -> None:
        try:
            self._warm_up()
            self._report(WarmedUp())
            while batch := self._queue.take():
                self._batch = batch
                for report in self._run(batch):
                    self._report(report)
                self._batch = []
        except BaseException as error:  # an unreported end would leave clients waiting for ever
            self._running = 0
            self._report(ThreadDied(error, self._batch))

    def _warm_up(self) -> None:
        """Run the smallest and the largest batches, so that memory is allocated and kernels are chosen now."""
        encoder, limits = self._model.text_encoder, self._limits
        (sample,) = encoder.tokenize(["a"], ["a"] if self._model.task.is_pair else None)
        most_rows = max(1, min(limits.items, limits.tokens // encoder.max_length))
        longest = max(1, min(encoder.max_length, limits.tokens // limits.items))
        shapes = ((1, 1), (most_rows, encoder.max_length), (limits.items, longest))
        for rows, length in dict.fromkeys(shapes):
            tokens = Tokens((sample.ids or [0])[:1] * length, [0] * length)
            self._model.predictor(encoder.pad([tokens] * rows))

    def _run(self, batch: list[Item[PendingRequest]]) -> Iterator[BatchDone | ItemFailed]:
        """Run a batch; where the model fails, run its halves, so that a text's fault is that text's alone."""
        started, self._running = time.monotonic(), len(batch)
        try:
            padded = self._model.text_encoder.pad([item.tokens for item in batch])
            rows = self._rows(self._predictor(padded), batch, padded.shape)
        except Exception:
            self._running = 0
            if len(batch) == 1:
                _log.exception("the model failed on a text of the request %s", batch[0].owner.request_id)
                yield ItemFailed(batch[0])
                return
        else:
            self._running = 0
            yield BatchDone(batch, rows, padded.shape[1], started, time.monotonic())
            return
        middle = len(batch) // 2
        yield from self._run(batch[:middle])
        yield from self._run(batch[middle:])

    def _rows(self, logits: Logits, batch: list[Item[PendingRequest]], shape: tuple[int, int]) -> list[Logits | None]:
        task = self._model.task
        # Only the model knows the width of an embedding.
        outputs = task.outputs or logits.shape[-1]
        expected = (*shape, outputs) if task.is_per_token else (shape[0], outputs)
        if logits.shape != expected:
            raise ValueError(f"the model gave logits of shape {logits.shape} instead of {expected}")
        cut = [self._asked(row, item.tokens) for row, item in zip(logits, batch, strict=True)]
        # All at once first: numpy takes as long for one row.
        if np.isfinite(logits).all():
            return list(cut)
        return [row if np.isfinite(row).all() else None for row in cut]

    def _asked(self, row: Logits, tokens: Tokens) -> Logits:
        """The part of a text's logits that is an answer."""
        if self._model.task.kind.is_over_vocabulary:
            # A copy: the whole row is a vocabulary for each token.
            return row[mask_places(self._model.text_encoder, tokens)]
        return row[: len(tokens)] if self._model.task.is_per_token else row
