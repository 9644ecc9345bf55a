"""How long threads waited for a core that another process had, and what that says of a measurement."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from replank.benchmarking.load import PROC, core_ticks, own_cores

# A run of several threads takes as much longer as the thread that waits longest.
_LONG = 0.1
# Ratios leave out a tenth of the rounds at either end.
_OFTEN = 0.1
# Cores of others, on average, without which no thread can wait for so long, except for a quota of its own.
_OTHERS = 0.1


class CoreWaits:
    """A meter of the time that threads of this process wait for a core, which starts when it is created.

    :param root: the kernel's ``/proc``.
    """

    def __init__(self, root: Path = PROC) -> None:
        self._root = root
        self._start, self._threads, self._stolen = time.perf_counter(), self._waits(), self._steal()

    def share(self) -> float | None:
        """The part of the time since the start for which the thread that waited longest could run and had no core.

        With the part in which a hypervisor gave our cores to others; ``None`` if the kernel does not report it.
        """
        seconds, threads, stolen = time.perf_counter() - self._start, self._waits(), self._steal()
        if self._threads is None or threads is None or self._stolen is None or stolen is None or seconds <= 0:
            return None
        longest = max(waited - self._threads.get(thread, 0) for thread, waited in threads.items()) / 1e9
        return round((longest + stolen - self._stolen) / seconds, 4)

    def _waits(self) -> dict[str, int] | None:
        """Nanoseconds on the run queue of each thread: the second number of its ``schedstat``."""
        try:
            return {
                file.parent.name: int(file.read_text(encoding="ascii").split()[1])
                for file in (self._root / "self" / "task").glob("*/schedstat")
            } or None
        except (OSError, ValueError, IndexError):
            return None

    def _steal(self) -> float | None:
        """Seconds that a hypervisor took from our cores, on average over them."""
        try:
            ticks = [values[7] for values in core_ticks(own_cores(), self._root)]
            return sum(ticks) / len(ticks) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError, ZeroDivisionError):
            return None


def is_busy(waited: Sequence[float | None], other_load: float | None) -> bool:
    """Whether wall time says little of the models: in more than a tenth of the turns threads waited for cores.

    :param waited: see :meth:`CoreWaits.share`, of each turn.
    :param other_load: cores that other processes used on average; ``None`` if the kernel does not report it.
    """
    known = [share for share in waited if share is not None]
    long = sum(share > _LONG for share in known)
    return long > _OFTEN * len(known) and (other_load is None or other_load > _OTHERS)
