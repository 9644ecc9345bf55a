"""Ctrl-C and SIGTERM: both end the program, at once or, where there is something to clean up, by an exception."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

INTERRUPTED_CODE = 130
INTERRUPTED = "interrupted"


def end_at_once() -> None:
    """From now on a signal ends the process where it is, while there is nothing to lose.

    No exception: raised during an import, libraries catch it, print it, or make another of it.
    """
    _handle_by(_end)


def end_by_exception() -> None:
    """From now on a signal raises ``KeyboardInterrupt``, so that what was begun is cleaned up."""
    # A supervisor's SIGTERM is Ctrl-C, wherever nothing handles it in a way of its own.
    _handle_by(signal.default_int_handler)


def _handle_by(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        # Who starts us may have them ignored, as nohup and a shell's background jobs do.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    with contextlib.suppress(OSError):
        # A terminal has just shown ^C.
        os.write(2, f"\n{INTERRUPTED}\n".encode())
    os._exit(INTERRUPTED_CODE)
