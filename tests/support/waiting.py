"""Waiting for events, on machines of any speed and load."""

from __future__ import annotations

import time
from collections.abc import Callable

# Ends a test that hangs. No test's outcome depends on it, nor on how long anything takes below it.
HANG_SECONDS = 600.0


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.02)
