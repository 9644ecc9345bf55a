"""The load of other processes during a measurement: the kernel's count for our cores, less our own processes' use."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")


class OtherLoad:
    """A meter of other processes' load, which starts when it is created.

    :param ours: ids of processes that are not others, besides this one.
    :param cores: the cores to look at; ``None`` for those that this process may use.
    :param root: the kernel's ``/proc``.
    """

    def __init__(self, ours: Iterable[int], cores: Iterable[int] | None = None, root: Path = _PROC) -> None:
        self._ours = [os.getpid(), *ours]
        self._cores = {f"cpu{core}" for core in (_own_cores() if cores is None else cores)}
        self._root = root
        self._start = self._read()

    def cores(self) -> float | None:
        """The cores that others used on average since the start; ``None`` if the kernel does not report it."""
        now = self._read()
        if self._start is None or now is None:
            return None
        busy, total, ours = (after - before for after, before in zip(now, self._start, strict=True))
        return max(0.0, (busy - ours) / total * len(self._cores)) if total > 0 else None

    def _read(self) -> tuple[int, int, int] | None:
        """Ticks of the cores: busy, in total, and used by our processes."""
        try:
            lines = [line.split() for line in (self._root / "stat").read_text(encoding="ascii").splitlines()]
            ticks = [[int(value) for value in line[1:9]] for line in lines if line and line[0] in self._cores]
            total = sum(map(sum, ticks))
            idle = sum(values[3] + values[4] for values in ticks)
            return total - idle, total, sum(map(self._used_by, self._ours))
        except (OSError, ValueError, IndexError):
            return None

    def _used_by(self, process: int) -> int:
        """User and system ticks, which follow the process's name in parentheses, itself any text."""
        fields = (self._root / str(process) / "stat").read_text(encoding="utf-8", errors="replace")
        after_name = fields.rpartition(")")[2].split()
        return int(after_name[11]) + int(after_name[12])


def _own_cores() -> Iterable[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
