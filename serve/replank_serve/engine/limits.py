"""The limits of an engine: how much runs together, and how much may wait."""

from __future__ import annotations

from dataclasses import dataclass

from replank.system.errors import FieldError
from replank.system.settings import setting


@dataclass(frozen=True)
class EngineLimits:
    """The limits of dynamic batching and of admission.

    :param max_batch: texts or pairs that run together.
    :param max_batch_tokens: tokens that run together, padding included; a longer text runs alone.
    :param max_queue_tokens: tokens that may wait for one model; beyond them, requests are refused.
    :raises FieldError: a limit below 1.
    """

    max_batch: int = setting(16, "Texts that run together.")
    max_batch_tokens: int = setting(2048, "Padded tokens that run together.")
    max_queue_tokens: int = setting(32_768, "Tokens that may wait; beyond them, requests get 429.")

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_batch_tokens", "max_queue_tokens"):
            if getattr(self, name) < 1:
                raise FieldError(name, getattr(self, name), "at least 1")
