"""The limits of an engine: the size of a batch and of the queue."""

from __future__ import annotations

from dataclasses import dataclass

from replank.system.errors import FieldError
from replank.system.settings import setting


@dataclass(frozen=True)
class EngineLimits:
    """The limits of dynamic batching and of admission control.

    :param max_batch: texts or pairs in one batch.
    :param max_batch_tokens: padded tokens in one batch; a longer text runs alone.
    :param max_queue_tokens: queued tokens of one model; beyond them, requests are refused.
    :raises FieldError: a limit below 1.
    """

    max_batch: int = setting(16, "Maximum texts in one batch.")
    max_batch_tokens: int = setting(2048, "Maximum padded tokens in one batch.")
    max_queue_tokens: int = setting(32_768, "Maximum queued tokens; beyond them, requests get 429.")

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_batch_tokens", "max_queue_tokens"):
            if getattr(self, name) < 1:
                raise FieldError(name, getattr(self, name), "at least 1")
