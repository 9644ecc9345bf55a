"""The load of other processes during a measurement: the kernel's count for our cores, less our own processes' use."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")


class OtherLoad:
    """A meter of other processes' load, which starts when it is created.

    :param ours: ids of processes that, with all that they start, are not others; this one is not either.
    :param cores: the cores to look at; ``None`` for those that this process may use.
    :param root: the kernel's ``/proc``.
    """

    def __init__(self, ours: Iterable[int], cores: Iterable[int] | None = None, root: Path = PROC) -> None:
        self._ours = set(ours)
        self._cores = list(own_cores() if cores is None else cores)
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
            ticks = core_ticks(self._cores, self._root)
            total = sum(map(sum, ticks))
            idle = sum(values[3] + values[4] for values in ticks)
            return total - idle, total, self._used()
        except (OSError, ValueError, IndexError):
            return None

    def _used(self) -> int:
        """Ticks of our processes, those that they start, such as a compiler, and those of these that have ended."""
        parents, ticks = {}, {}
        for folder in self._root.glob("[0-9]*"):
            try:
                stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except (FileNotFoundError, ProcessLookupError):  # it has ended in the meantime
                continue
            # They follow the process's name in parentheses, itself any text: its own, then of those that it waited for.
            values = stat.rpartition(")")[2].split()
            process = int(folder.name)
            parents[process], ticks[process] = int(values[1]), [int(value) for value in values[11:15]]
        ours = self._ours & ticks.keys()
        if ours != self._ours:
            raise ProcessLookupError(f"processes {self._ours - ours} are gone")
        while started := {process for process, parent in parents.items() if parent in ours} - ours:
            ours |= started
        # Children of this process may be anyone's.
        this = os.getpid()
        return sum(sum(ticks[process]) for process in ours - {this}) + sum(ticks[this][:2])


def own_cores() -> Iterable[int]:
    """The cores that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def core_ticks(cores: Iterable[int], root: Path = PROC) -> list[list[int]]:
    """Ticks of each core: user, nice, system, idle, waiting for a disk, in two kinds of interrupts, and stolen.

    Stolen are those that a hypervisor gave to others.

    :raises OSError: the kernel does not report them.
    :raises ValueError: it reports something else.
    """
    names = {f"cpu{core}" for core in cores}
    lines = [line.split() for line in (root / "stat").read_text(encoding="ascii").splitlines()]
    return [[int(value) for value in line[1:9]] for line in lines if line and line[0] in names]
