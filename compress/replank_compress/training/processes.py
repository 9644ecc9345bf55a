"""Coordination of the processes of a training: one, or as many as ``torchrun`` started, on one machine or several."""

from __future__ import annotations

from torch import distributed

from replank.system.processes import process_count


def wait_for_all() -> None:
    """A barrier: returns once every process has called it."""
    if process_count() > 1:
        distributed.barrier()


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; the same result in all of them."""
    if process_count() == 1:
        return flag
    flags: list[bool | None] = [None] * process_count()
    distributed.all_gather_object(flags, flag)
    return any(flags)
