"""What a model may cost, and how far a model is from that."""

from __future__ import annotations

import math
from dataclasses import dataclass

from replank.system.errors import UsageError


@dataclass(frozen=True)
class Cost:
    """What is known of a model; ``None`` where nothing is.

    :param p50_ms: median time of one batch of the budget's shape.
    :param model_bytes: of its graph or weights.
    :param retention: its headline metric as a part of the predecessor's, both on dev.
    """

    p50_ms: float | None = None
    model_bytes: float | None = None
    retention: float | None = None


@dataclass(frozen=True)
class Budget:
    """Bounds that a model must keep; at least one on its cost.

    :param max_latency_ms: of one batch, at the median.
    :param max_bytes: of the graph.
    :param min_throughput: texts a second, in batches one after another.
    :param min_retention: of the headline metric, as a part of the predecessor's.
    :param batch_size: texts of a batch, and
    :param length: tokens of each, that time is measured at.
    :raises UsageError: no bound on the cost, or a value out of range.
    """

    max_latency_ms: float | None = None
    max_bytes: int | None = None
    min_throughput: float | None = None
    min_retention: float | None = None
    batch_size: int = 1
    length: int = 128

    def __post_init__(self) -> None:
        if self.max_latency_ms is None and self.max_bytes is None and self.min_throughput is None:
            raise UsageError(
                "no budget given", hint="--max-latency 5ms, --max-bytes 50MB or --min-throughput 200/s, or several"
            )
        for name in ("max_latency_ms", "max_bytes", "min_throughput", "batch_size", "length"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} is {value}; expected more than 0")
        if self.min_retention is not None and not 0 < self.min_retention <= 1:
            raise UsageError(
                f"--min-retention {self.min_retention:g}: expected a part of the predecessor's quality, more than 0, "
                "to 1",
                hint="such as --min-retention 0.98",
            )

    @property
    def shape(self) -> str:
        """The shape of a batch, as it is typed."""
        return f"{self.batch_size}x{self.length}"

    def excesses(self, cost: Cost) -> list[tuple[float, str]]:
        """Each bound that a cost breaks, by what is known: how many times too much it is, and that in words."""
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
