"""The requests in flight: their number, and an event for when there are none."""

from __future__ import annotations

import asyncio
from types import TracebackType


class InFlight:
    """A count of requests that have not ended, as a context of each. It belongs to one event loop."""

    def __init__(self) -> None:
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return self._requests

    def __enter__(self) -> None:
        self._requests += 1
        self._idle.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._requests -= 1
        if not self._requests:
            self._idle.set()

    async def wait_until_idle(self) -> None:
        """Wait until no request is in flight."""
        await self._idle.wait()
