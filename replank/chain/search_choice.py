"""The decisions of a search: which candidates exist, which may still win, and which one wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from replank.chain.budget import Budget, Cost
from replank.charts.pareto import pareto_front

FP32 = "fp32"
_DEPTHS = 3


def int8_name(scheme: str) -> str:
    """The name of a precision: INT8 by one of the schemes of `quantize`."""
    return f"int8-{scheme}"


@dataclass
class Candidate:
    """A depth in a precision.

    :param estimate: the estimated cost, without ``retention``.
    :param measured: the cost of the finished model; ``None`` while there is none.
    :param dev: the finished model's headline metric on dev.
    :param quality: the finished model's metrics on the held-out split.
    :param why: in words, why it has not won.
    """

    layers: int
    precision: str
    estimate: Cost = field(default_factory=Cost)
    measured: Cost | None = None
    dev: float | None = None
    quality: dict[str, float] | None = None
    why: str | None = None

    @property
    def name(self) -> str:
        """Such as ``6-int8-dynamic``."""
        return f"{self.layers}-{self.precision}"


def depths_of(layers: int) -> list[int]:
    """The predecessor's own depth and its three largest proper divisors: for 12 layers 12, 6, 4 and 3."""
    return [layers, *[depth for depth in range(layers - 1, 0, -1) if layers % depth == 0][:_DEPTHS]]


def hopes(shorts: Mapping[int, float], fulls: Mapping[int, float], reference: float) -> dict[int, float]:
    """The quality that each depth may reach in a full run.

    A full run closes a part of the gap that its short run left to the predecessor. The other depths are assumed to
    close at most the largest part closed so far, and all of the gap before any full run. None is assumed to exceed the
    predecessor unless its short run does.

    :param shorts: headline metric on dev of each depth's short run.
    :param fulls: headline metric on dev of each full run so far.
    :param reference: headline metric on dev of the predecessor.
    """
    shown = [
        (fulls[depth] - shorts[depth]) / (reference - shorts[depth])
        for depth in fulls.keys() & shorts.keys()
        if shorts[depth] < reference
    ]
    part = min(1.0, max(0.0, *shown)) if shown else 1.0
    return {depth: short + part * max(0.0, reference - short) for depth, short in shorts.items()}


def best_of(candidates: Iterable[Candidate], budget: Budget) -> Candidate | None:
    """The finished candidate within the budget with the best metric on dev; of equals the smallest."""
    within = [entry for entry in candidates if entry.measured and not budget.excesses(entry.measured)]
    return max(within, key=_rank, default=None)


def front(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The finished candidates that no other beats in both quality and time, the fastest first."""
    return pareto_front((entry for entry in candidates if entry.measured), _ms, _dev)


def nearest(candidates: Sequence[Candidate], budget: Budget) -> list[tuple[Candidate, str]]:
    """The three candidates that miss the budget by the least, each with what exceeds it."""

    def excess(entry: Candidate) -> float:
        return max((ratio for ratio, _ in budget.excesses(entry.measured or entry.estimate)), default=float("inf"))

    known = sorted((entry for entry in candidates if excess(entry) < float("inf")), key=excess)[:3]
    return [(entry, describe(entry, budget)) for entry in known]


def describe(entry: Candidate, budget: Budget) -> str:
    """The values of a candidate that exceed the budget, in words."""
    words = ", ".join(words for _, words in budget.excesses(entry.measured or entry.estimate))
    return words if entry.measured else f"about {words}"


def explain_losses(candidates: Iterable[Candidate], winner: Candidate | None, budget: Budget) -> None:
    """Fill in why each finished candidate has not won."""
    for entry in candidates:
        if entry.measured is None or entry is winner:
            continue
        if budget.excesses(entry.measured):
            entry.why = f"outside the budget: {describe(entry, budget)}"
        elif winner is not None:
            better = _dev(winner) > _dev(entry)
            entry.why = f"{_dev(entry):.4f} on dev, the winner {_dev(winner):.4f}" if better else "as good, but larger"


def _rank(entry: Candidate) -> tuple[float, float]:
    size = entry.measured.model_bytes if entry.measured else None
    # Not by time, which is noise between equals: a repeated search must find the same winner.
    return _dev(entry), -(size or 0.0)


def _dev(entry: Candidate) -> float:
    return entry.dev if entry.dev is not None else float("-inf")


def _ms(entry: Candidate) -> float:
    ms = entry.measured.p50_ms if entry.measured else None
    return ms if ms is not None else float("inf")
