"""An estimate with what resampling tells of its chance: intervals, bounds, p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number as measured, and of each resample.

    Arithmetic of estimates goes resample by resample: it is paired where both are of the same draws, and takes both
    as independent where they are of different ones.

    :param resampled: shape ``(resamples,)``.
    """

    value: float
    resampled: NDArray[np.float64]

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.value - other.value, self.resampled - other.resampled)

    def __truediv__(self, other: Estimate) -> Estimate:
        return Estimate(self.value / other.value, self.resampled / other.resampled)

    @property
    def is_positive(self) -> bool:
        """Whether it is above 0 in every resample, so that parts of it mean something."""
        return bool(self.value > 0 and (self.resampled > 0).all())


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One score minus another.

    :param value: as measured; a fraction, as metrics are.
    :param low: the lower end of the 95 % interval; ``high`` is the upper.
    :param p_value: two-sided, that there is no difference.
    """

    value: float
    low: float
    high: float
    p_value: float

    @classmethod
    def of(cls, estimate: Estimate) -> Difference:
        """The difference that an estimate is."""
        low, high = interval(estimate)
        return cls(value=estimate.value, low=low, high=high, p_value=_p_value(estimate))

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is shown, at 95 % confidence."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A score as a fraction of the predecessor's.

    :param value: as measured; 1 is all of it.
    :param low: the lower end of the two-sided 95 % interval; ``high`` is the upper.
    :param lower_bound: one-sided: with 95 % confidence, at least this much is kept.
    """

    value: float
    low: float
    high: float
    lower_bound: float

    @classmethod
    def of(cls, estimate: Estimate) -> Kept:
        """The fraction that an estimate is."""
        low, high = interval(estimate)
        bound = float(np.quantile(estimate.resampled, 1 - CONFIDENCE))
        return cls(value=estimate.value, low=low, high=high, lower_bound=bound)


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of several estimates, each of equal weight."""
    return Estimate(
        float(np.mean([estimate.value for estimate in estimates])),
        np.mean([estimate.resampled for estimate in estimates], axis=0),
    )


def interval(estimate: Estimate) -> tuple[float, float]:
    """The ends of the percentile interval that holds 95 % of the resamples."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(estimate.resampled, [tail, 1 - tail])
    return float(low), float(high)


def _p_value(estimate: Estimate) -> float:
    """Twice the share of resamples on the other side of 0, never 0 itself (Davison and Hinkley, 1997, 4.2)."""
    below, above = (estimate.resampled <= 0).sum(), (estimate.resampled >= 0).sum()
    return min(1.0, 2 * float(min(below, above) + 1) / (len(estimate.resampled) + 1))
