"""The inference thread: it warms the model up, then runs one batch after the other and reports each."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from replank.runtime.model import Model
from replank.runtime.predictors import Logits
from replank.text.tokenization import Tokens
from replank_serve.engine.batching import BatchLimits, BatchQueue, Item
from replank_serve.engine.inference import Ticket

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Warm:
    """The model has run the smallest and the largest batch that will be asked of it."""


@dataclass(frozen=True)
class Done:
    """A batch ran.

    :param rows: for each item its logits; ``None`` where they are not finite numbers.
    :param length: tokens to which each item was padded.
    :param started: on the clock of :func:`time.monotonic`, as is ``ended``.
    """

    batch: list[Item[Ticket]]
    rows: list[Logits | None]
    length: int
    started: float
    ended: float


@dataclass(frozen=True)
class Failed:
    """The model raised an exception on a batch. The thread goes on."""

    batch: list[Item[Ticket]]


@dataclass(frozen=True)
class Died:
    """The thread ended.

    :param batch: what ran then, if anything did.
    """

    error: BaseException
    batch: list[Item[Ticket]]


Report = Warm | Done | Failed | Died


class Worker:
    """One thread that takes batches from a queue until that is closed.

    :param report: called in the thread.
    """

    def __init__(
        self, model: Model, queue: BatchQueue[Ticket], limits: BatchLimits, report: Callable[[Report], None]
    ) -> None:
        self._model = model
        self._queue = queue
        self._limits = limits
        self._report = report
        # What no report was made of yet, and of it what is in the model now.
        self._batch: list[Item[Ticket]] = []
        self._running = 0
        # A daemon: a batch that hangs in the model must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="replank-inference", daemon=True)

    @property
    def running(self) -> int:
        """Items of the batch that runs now."""
        return self._running

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread, but not for ever."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _work(self) -> None:
        try:
            self._warm_up()
            self._report(Warm())
            while batch := self._queue.take():
                self._batch, self._running = batch, len(batch)
                report = self._run(batch)
                self._running = 0
                self._report(report)
                self._batch = []
        except BaseException as error:  # whatever ends this thread must be known, or clients wait for ever
            self._running = 0
            self._report(Died(error, self._batch))

    def _warm_up(self) -> None:
        """The least and the most that will be asked: memory is allocated and kernels are chosen now."""
        encoder, limits = self._model.text_encoder, self._limits
        (sample,) = encoder.tokenize(["a"], ["a"] if self._model.task.is_pair else None)
        most_rows = max(1, min(limits.items, limits.tokens // encoder.max_length))
        longest = max(1, min(encoder.max_length, limits.tokens // limits.items))
        shapes = ((1, 1), (most_rows, encoder.max_length), (limits.items, longest))
        for rows, length in dict.fromkeys(shapes):
            tokens = Tokens((sample.ids or [0])[:1] * length, [0] * length)
            self._model.predictor(encoder.pad([tokens] * rows))

    def _run(self, batch: list[Item[Ticket]]) -> Report:
        started = time.monotonic()
        try:
            padded = self._model.text_encoder.pad([item.tokens for item in batch])
            rows = self._rows(self._model.predictor(padded), batch, padded.shape)
        except Exception:
            ids = sorted({item.owner.request_id for item in batch})
            _log.exception("a batch of %d failed, of the requests %s", len(batch), ", ".join(ids))
            return Failed(batch)
        return Done(batch, rows, padded.shape[1], started, time.monotonic())

    def _rows(self, logits: Logits, batch: list[Item[Ticket]], shape: tuple[int, int]) -> list[Logits | None]:
        task = self._model.task
        # How wide a vector is, the model alone knows.
        outputs = task.outputs or logits.shape[-1]
        expected = (*shape, outputs) if task.is_per_token else (shape[0], outputs)
        if logits.shape != expected:
            raise ValueError(f"the model gave logits of shape {logits.shape} instead of {expected}")
        cut = [row[: len(item.tokens)] if task.is_per_token else row for row, item in zip(logits, batch, strict=True)]
        return [row if np.isfinite(row).all() else None for row in cut]
