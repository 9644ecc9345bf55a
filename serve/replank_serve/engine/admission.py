"""Admission control: a bound on queued tokens, and an estimate of when there will be room."""

from __future__ import annotations

import math

from replank.system.errors import OverloadedError

# Weight of the past in the moving average of throughput, per batch.
_DECAY = 0.9
_MAX_RETRY_SECONDS = 60


class Admission:
    """A bound on queued tokens. One request with many long texts costs as much as many short requests.

    :param max_tokens: bound on queued tokens. An empty queue admits any request, so none is refused for ever.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._tokens = 0.0
        self._seconds = 0.0

    def admit(self, tokens: int, waiting: int) -> None:
        """Admit a request, given the tokens that are queued already.

        :raises OverloadedError: the queue would exceed its bound; carries an estimate of the time to drain it.
        """
        if waiting and waiting + tokens > self._max_tokens:
            raise OverloadedError(
                f"{waiting} tokens wait already, and at most {self._max_tokens} may",
                hint="try again in a moment",
                retry_after=self._retry_seconds(waiting),
            )

    def record(self, tokens: int, seconds: float) -> None:
        """Update the throughput estimate, an exponential moving average, with a finished batch."""
        self._tokens = _DECAY * self._tokens + tokens
        self._seconds = _DECAY * self._seconds + seconds

    def _retry_seconds(self, waiting: int) -> int:
        seconds = waiting * self._seconds / self._tokens if self._tokens else 0
        return max(1, min(math.ceil(seconds), _MAX_RETRY_SECONDS))
