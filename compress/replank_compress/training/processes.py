"""The processes that train together: one, or as many as ``torchrun`` started, on one machine or several."""

from __future__ import annotations

from torch import distributed

from replank.system.processes import process_count


def wait_for_all() -> None:
    """Return once every process has come here."""
    if process_count() > 1:
        distributed.barrier()


def any_process(flag: bool) -> bool:
    """Whether the flag is set in one process or more; the same answer in all."""
    if process_count() == 1:
        return flag
    flags: list[bool | None] = [None] * process_count()
    distributed.all_gather_object(flags, flag)
    return any(flags)
