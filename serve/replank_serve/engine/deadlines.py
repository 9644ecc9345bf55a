"""The deadlines of pending requests, on one timer: one for each request would cost as much as parsing its JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from replank.system.errors import DeadlineError
from replank_serve.engine.inference import PendingRequest


class Deadlines:
    """The pending requests, each of which fails at its deadline. It belongs to one event loop."""

    def __init__(self) -> None:
        self._pending: set[PendingRequest] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next = float("inf")

    def __len__(self) -> int:
        return len(self._pending)

    def __iter__(self) -> Iterator[PendingRequest]:
        return iter(self._pending)

    def add(self, request: PendingRequest) -> None:
        """Watch a request until it is discarded."""
        self._pending.add(request)
        if request.deadline < self._next:
            self._set_timer(request.deadline)

    def discard(self, request: PendingRequest) -> None:
        """Forget a request. The timer stays: it is for whoever is next then."""
        self._pending.discard(request)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer:
            self._timer.cancel()

    def _set_timer(self, deadline: float) -> None:
        self.close()
        self._next = deadline
        self._timer = asyncio.get_running_loop().call_later(max(0.0, deadline - time.monotonic()), self._expire)

    def _expire(self) -> None:
        now, self._next = time.monotonic(), float("inf")
        waiting = []
        for request in self._pending:
            if request.deadline <= now:
                request.fail(past_deadline(request.seconds))
            else:
                waiting.append(request.deadline)
        if waiting:
            self._set_timer(min(waiting))


def past_deadline(seconds: float) -> DeadlineError:
    """The error of a request without an answer.

    :param seconds: the time it had.
    """
    return DeadlineError(f"no answer within {seconds:.3g} seconds")
