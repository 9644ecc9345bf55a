"""This process among those of ``torchrun``, read from the environment, so that asking needs no torch."""

from __future__ import annotations

import os


def process_count() -> int:
    """The number of processes that work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_process_count() -> int:
    """The number of them on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this process prints and writes for all of them."""
    return int(os.environ.get("RANK", "0")) == 0
