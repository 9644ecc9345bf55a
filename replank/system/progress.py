"""Progress of long work on stderr: a bar on a terminal, else a plain line every 15 seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 15.0


class Advance(Protocol):
    """A callback that reports progress."""

    def __call__(self, amount: int = 1, note: str = "") -> None:
        """Report that more is done.

        :param amount: units of work.
        :param note: shown beside the bar, such as the current loss.
        """
        ...


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Show the progress of a piece of work.

    :param total: units of the whole work.
    :param done: units that an earlier run did.
    """
    if sys.stderr.isatty():
        with _bar(title, total, done) as advance:
            yield advance
    else:
        yield _PlainLines(title, total, done)


@contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, note="")

        shown = ""

        def advance(amount: int = 1, note: str = "") -> None:
            nonlocal shown
            shown = note or shown
            bar.update(task, advance=amount, note=shown)

        yield advance


class _PlainLines:
    def __init__(self, title: str, total: int, done: int) -> None:
        self._title, self._total, self._done = title, total, done
        self._start = self._last = time.monotonic()

    def __call__(self, amount: int = 1, note: str = "") -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES and self._done < self._total:
            return
        self._last = now
        sys.stderr.write(
            f"{self._title}: {self._done}/{self._total} after {now - self._start:.0f} s {note}".rstrip() + "\n"
        )
        sys.stderr.flush()
