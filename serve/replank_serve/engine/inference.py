"""What the engine gives: a request's answer, a record of each batch, and the ticket a request waits with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from replank.runtime.predictors import Logits
from replank.system.errors import ReplankError
from replank.text.tokenization import Tokens


@dataclass(frozen=True)
class Inference:
    """The answer to one request, and where its time went.

    :param rows: for each text, in the request's order, its logits: of shape ``(outputs,)``, or ``(tokens, outputs)``
        where the task answers each token; no padding.
    :param tokens: for each text what was run; of token classification with the starts of its words.
    :param tokenization_ms: from admission until all texts were tokenized.
    :param queue_ms: from there until the first of its batches started.
    :param inference_ms: from there until the last of its batches ended.
    :param batch_size: items of the largest batch that it was part of, other requests' included.
    """

    rows: list[Logits]
    tokens: list[Tokens]
    tokenization_ms: float
    queue_ms: float
    inference_ms: float
    batch_size: int

    @property
    def logits(self) -> Logits:
        """The rows as one array, of shape ``(texts, outputs)``; only where the task answers whole texts."""
        return np.stack(self.rows)


@dataclass(frozen=True)
class BatchRecord:
    """One batch that ran.

    :param items: texts or pairs.
    :param tokens: without the padding.
    :param padded_tokens: with it: what the model computed.
    :param seconds: of padding and running it.
    """

    items: int
    tokens: int
    padded_tokens: int
    seconds: float


class Ticket:
    """What a request waits with. It belongs to the event loop.

    :param request_id: for the log; empty outside of a request.
    :param texts: how many there are to answer.
    """

    def __init__(self, future: asyncio.Future[None], request_id: str, texts: int) -> None:
        self.future = future
        self.request_id = request_id
        self.missing = texts
        self.started = float("inf")
        self.ended = 0.0
        self.batch_size = 0
        self._rows: dict[int, Logits] = {}

    def ran(self, started: float, ended: float, batch_size: int) -> None:
        """A batch with something of this request ran."""
        self.started = min(self.started, started)
        self.ended = ended
        self.batch_size = max(self.batch_size, batch_size)

    def fill(self, row: int, logits: Logits) -> None:
        """One text is answered; the last ends the wait."""
        self._rows[row] = logits
        self.missing -= 1
        if not self.missing and not self.future.done():
            self.future.set_result(None)

    def fail(self, error: ReplankError) -> None:
        """End the wait; the first error stands."""
        if not self.future.done():
            self.future.set_exception(error)

    def answered(self) -> list[Logits]:
        """The logits of all texts, in the request's order."""
        return [self._rows[row] for row in sorted(self._rows)]
