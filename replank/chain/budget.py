"""The budget of a search: bounds on latency, size, throughput and quality, and by how much a model exceeds them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from replank.system.errors import FieldError, UsageError
from replank.system.settings import setting


@dataclass(frozen=True)
class Cost:
    """The cost and quality of a model, each ``None`` while it is not known.

    :param p50_ms: median latency of one batch of the budget's shape.
    :param model_bytes: bytes of its graph or weights.
    :param retention: its headline metric as a fraction of the predecessor's, both on dev.
    """

    p50_ms: float | None = None
    model_bytes: float | None = None
    retention: float | None = None


@dataclass(frozen=True)
class Budget:
    """Bounds that a model must meet, at least one of them on its cost.

    :param batch_size: texts of a batch, for latency and throughput.
    :param length: tokens of each text.
    :raises UsageError: no bound on the cost, or a value out of range.
    """

    max_latency_ms: float | None = setting(None, "Median latency of one batch.", flag="max-latency")
    max_bytes: int | None = setting(None, "Size of the graph with its weights.")
    min_throughput: float | None = setting(None, "Texts per second, in batches one after another.")
    min_retention: float | None = setting(None, "Fraction of the predecessor's headline metric to keep, such as 0.98.")
    batch_size: int = 1
    length: int = 128

    def __post_init__(self) -> None:
        if self.max_latency_ms is None and self.max_bytes is None and self.min_throughput is None:
            raise UsageError(
                "no budget given", hint="expected one or more of `max_latency_ms`, `max_bytes`, `min_throughput`"
            )
        for name in ("max_latency_ms", "max_bytes", "min_throughput", "batch_size", "length"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise FieldError(name, value, "more than 0")
        if self.min_retention is not None and not 0 < self.min_retention <= 1:
            raise FieldError(
                "min_retention",
                self.min_retention,
                "a fraction of the predecessor's quality, above 0 and up to 1",
                hint="such as `min_retention=0.98`",
            )

    @property
    def shape(self) -> str:
        """The shape of a batch, such as ``1x128``."""
        return f"{self.batch_size}x{self.length}"

    def excesses(self, cost: Cost) -> list[tuple[float, str]]:
        """Each bound that a cost exceeds, as far as it is known: the factor, and the value in words."""
        found = []
        if self.max_latency_ms is not None and cost.p50_ms is not None:
            found.append((cost.p50_ms / self.max_latency_ms, f"{cost.p50_ms:.3g} ms at {self.shape}"))
        if self.max_bytes is not None and cost.model_bytes is not None:
            found.append((cost.model_bytes / self.max_bytes, f"{cost.model_bytes / 1e6:.3g} MB"))
        if self.min_throughput is not None and cost.p50_ms is not None:
            rate = 1e3 * self.batch_size / cost.p50_ms
            found.append((self.min_throughput / rate, f"{rate:.3g}/s at {self.shape}"))
        if self.min_retention is not None and cost.retention is not None:
            ratio = self.min_retention / cost.retention if cost.retention > 0 else math.inf
            found.append((ratio, f"keeps {cost.retention:.1%} of the quality"))
        return [(ratio, words) for ratio, words in found if ratio > 1]

    def __str__(self) -> str:
        bounds = []
        if self.max_latency_ms is not None:
            bounds.append(f"{self.max_latency_ms:g} ms at {self.shape}")
        if self.max_bytes is not None:
            bounds.append(f"{self.max_bytes / 1e6:g} MB")
        if self.min_throughput is not None:
            bounds.append(f"{self.min_throughput:g}/s at {self.shape}")
        if self.min_retention is not None:
            bounds.append(f"{self.min_retention:.1%} of the quality")
        return ", ".join(bounds)
