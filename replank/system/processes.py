"""Which of several processes this is. ``torchrun`` says it in the environment, so that asking needs no torch."""

from __future__ import annotations

import os


def process_count() -> int:
    """How many processes work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_process_count() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this is the one that speaks and writes for all."""
    return int(os.environ.get("RANK", "0")) == 0
