"""How much work may wait, and when there will be room for more."""

from __future__ import annotations

import math

from replank.system.errors import OverloadedError

_MEMORY = 0.9
_LONGEST_RETRY_SECONDS = 60


class Admission:
    """The bound on what waits, in tokens: a request of many long texts is as much work as many requests.

    :param max_tokens: that may wait. When nothing waits, any request is let in: none is too large for ever.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._tokens = 0.0
        self._seconds = 0.0

    def admit(self, tokens: int, waiting: int) -> None:
        """Let some tokens in besides those that wait.

        :raises OverloadedError: they would be too many; with an estimate of when what waits now will be done.
        """
        if waiting and waiting + tokens > self._max_tokens:
            raise OverloadedError(
                f"{waiting} tokens wait already, and at most {self._max_tokens} may",
                hint="try again in a moment",
                retry_after=self._retry_seconds(waiting),
            )

    def learn(self, tokens: int, seconds: float) -> None:
        """Take note of how long a batch took; older batches count less and less."""
        self._tokens = _MEMORY * self._tokens + tokens
        self._seconds = _MEMORY * self._seconds + seconds

    def _retry_seconds(self, waiting: int) -> int:
        seconds = waiting * self._seconds / self._tokens if self._tokens else 0
        return max(1, min(math.ceil(seconds), _LONGEST_RETRY_SECONDS))
