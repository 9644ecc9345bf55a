"""The results of the engine: a request's answer, a record of each batch, and the request while it is pending."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from replank.runtime.predictors import Logits
from replank.system.errors import ReplankError
from replank.text.tokens import Tokens


@dataclass(frozen=True)
class Inference:
    """The answer to one request, with its timings.

    :param rows: logits of each text, in the request's order: shape ``(outputs,)``; ``(tokens, outputs)`` without
        padding for a task that answers each token, and of a masked language model ``(masks, outputs)``.
    :param tokens: the model's input for each text; for token classification, with the starts of words.
    :param tokenization_ms: admission to the end of tokenization.
    :param queue_ms: from there to the start of the first batch.
    :param inference_ms: from there to the end of the last batch.
    :param batch_size: size of the largest batch with a text of this request, other requests' texts included.
    """

    rows: list[Logits]
    tokens: list[Tokens]
    tokenization_ms: float
    queue_ms: float
    inference_ms: float
    batch_size: int

    @property
    def logits(self) -> Logits:
        """The rows as one array of shape ``(texts, outputs)``; only for tasks that answer whole texts."""
        return np.stack(self.rows)


@dataclass(frozen=True)
class BatchRecord:
    """The size and duration of a batch.

    :param items: texts or pairs.
    :param tokens: tokens without padding.
    :param padded_tokens: tokens with padding: the size of the model's input.
    :param seconds: duration of padding and inference.
    """

    items: int
    tokens: int
    padded_tokens: int
    seconds: float


class PendingRequest:
    """A request in the queue or in the model. It belongs to the event loop.

    :param future: ends the wait of the caller.
    :param request_id: for the log; empty outside a request.
    :param texts: number of texts or pairs to answer.
    :param deadline: on the clock of :func:`time.monotonic`.
    :param seconds: the time from its arrival to its deadline.
    """

    def __init__(
        self, future: asyncio.Future[None], request_id: str, texts: int, deadline: float, seconds: float
    ) -> None:
        self.future = future
        self.request_id = request_id
        self.deadline = deadline
        self.seconds = seconds
        self.texts = self.missing = texts
        self.started = float("inf")
        self.ended = 0.0
        self.batch_size = 0
        self._rows: dict[int, Logits] = {}

    def ran(self, started: float, ended: float, batch_size: int) -> None:
        """Record a batch that held texts of this request."""
        self.started = min(self.started, started)
        self.ended = ended
        self.batch_size = max(self.batch_size, batch_size)

    def fill(self, row: int, logits: Logits) -> None:
        """Store one answer; the last one ends the wait."""
        self._rows[row] = logits
        self.missing -= 1
        if not self.missing and not self.future.done():
            self.future.set_result(None)

    def fail(self, error: ReplankError) -> None:
        """End the wait with an error; only the first one counts."""
        if not self.future.done():
            self.future.set_exception(error)

    def logits(self) -> list[Logits]:
        """The logits of all texts, in the request's order."""
        return [self._rows[row] for row in sorted(self._rows)]
