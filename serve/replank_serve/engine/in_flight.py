"""The requests in flight: each with a timeout, and an event for when there are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from replank.system.errors import DeadlineError


class InFlight:
    """A count of requests that have not ended. It belongs to one event loop."""

    def __init__(self) -> None:
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return self._requests

    @asynccontextmanager
    async def request(self, timeout: float) -> AsyncIterator[None]:
        """The context of one request.

        :raises DeadlineError: it took longer than ``timeout`` seconds.
        """
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

    async def wait_until_idle(self) -> None:
        """Wait until no request is in flight."""
        await self._idle.wait()
