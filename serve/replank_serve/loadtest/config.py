"""The settings of a load test."""

from __future__ import annotations

import math
from dataclasses import dataclass

from replank.runtime.providers import PROVIDERS
from replank.system.errors import FieldError, UsageError
from replank.system.settings import setting


@dataclass(frozen=True)
class LoadtestConfig:
    """The target of a load test, and the load.

    :param target: the URL of a server; or a folder or hub name, whose model runs in an engine in a child process.
    :param limit_ms: the limit on the 99th percentile of latency, in milliseconds.
    :param seconds: least duration of each run; there are about a dozen.
    :param texts: texts of the requests, drawn in random order: tuples of one text, or of two for a task on pairs;
        ``None`` generates texts of 5, 18 and 50 words.
    :param device: execution provider of a model; ignored for a URL.
    :param threads: intra-op threads of a model; ignored for a URL.
    :param seed: of arrivals and of the order of texts.
    :raises UsageError: a value out of range.
    """

    target: str
    limit_ms: float
    seconds: float = setting(10.0, "Least duration of each run; there are about a dozen.")
    texts: tuple[tuple[str, ...], ...] | None = None
    device: str = setting("cpu", "Execution provider of a model; no silent fallback.", choices=(*PROVIDERS, "auto"))
    threads: int | None = setting(None, "Threads of one operator of a model. [default: all available cores]")
    seed: int = setting(0, "Seed of arrival times and of the order of texts.")

    def __post_init__(self) -> None:
        for name, value in (("limit_ms", self.limit_ms), ("seconds", self.seconds)):
            if not 0 < value < math.inf:
                raise FieldError(name, value, "more than 0")
        if self.texts is not None and not self.texts:
            raise UsageError("`texts` holds no text")
