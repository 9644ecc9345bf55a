"""Dyadic fractions: a real factor as an integer over a power of two, so that multiplying needs no real numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from replank.integer.integers import Integers


@dataclass(frozen=True)
class Dyadic:
    """Factors ``multiplier / 2**shift``.

    :param multiplier: one, or one a channel; any sign.
    :param shift: 0 to 61.
    """

    multiplier: Integers
    shift: int

    @classmethod
    def of(cls, ratio: ArrayLike, *, bits: int = 31, max_shift: int = 61) -> Dyadic:
        """The nearest fractions to real factors.

        The largest of them keeps all bits of its multiplier, with a relative error of at most ``2**-bits``; the others
        have its shift, and its absolute error.

        :param bits: of the largest multiplier, which may round up to ``2**bits`` itself.
        :param max_shift: fewer bits are kept where the shift would be larger.
        """
        ratios = np.asarray(ratio, dtype=np.float64)
        _, exponent = np.frexp(np.max(np.abs(ratios), initial=0.0))
        shift = int(np.clip(bits - int(exponent), 0, max_shift))
        return cls(np.rint(np.ldexp(ratios, shift)).astype(np.int64), shift)

    def __call__(self, values: Integers) -> Integers:
        """The products, rounded to the nearest integer; halves go up: ``floor(values * multiplier / 2**shift + 1/2)``.

        :param values: of which ``values * multiplier`` fits 63 bits.
        """
        return (values * self.multiplier + half(self.shift)) >> np.int64(self.shift)


def half(shift: int) -> np.int64:
    """What is added before a shift to the right so that it rounds to the nearest: half of the last bit that stays."""
    return np.int64((1 << shift) >> 1)
