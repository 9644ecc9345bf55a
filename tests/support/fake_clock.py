"""A clock that goes on only when it is told to, for what is measured and for what takes its time."""

from __future__ import annotations


class FakeClock:
    """In place of the module ``time`` in a module under test."""

    def __init__(self) -> None:
        self._now = 0.0

    def sleep(self, seconds: float) -> None:
        """Let time pass, at once."""
        self._now += seconds

    def monotonic(self) -> float:
        """Seconds."""
        return self._now

    perf_counter = monotonic

    def perf_counter_ns(self) -> int:
        """Nanoseconds."""
        return round(1e9 * self._now)
