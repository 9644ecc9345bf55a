"""GELU with a polynomial for the error function (Kim et al. 2021, equations 7 and 8 and algorithm 2).

``GELU(x) = x / 2 * (1 + erf(x / sqrt 2))`` and ``erf(x) = sign(x) * (1 - A * (min(|x|, B) - B)**2)``. From GELU it
differs by at most 0.0182, and by 0.0083 in the root of the mean square, over [-4, 4].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from replank.integer.integers import Integers, largest

_A, _B = 0.2888, 1.769
INPUT_BITS = 16
FINEST_SCALE = 2.0**-14
"""The finest scale of the input; below 5.7e-5 the polynomial overflows 32 bits."""
_ERF_BITS = 15


@dataclass(frozen=True)
class Gelu:
    """GELU of 16-bit integers of one scale, within 32 bits.

    :param edge: from here on erf is 1, in steps of the input.
    :param one: 1 at the scale of the polynomial, up to 31 bits.
    :param shift: bits that the polynomial loses, so that it has 15 and its product with the input fits 32.
    :param output_scale: the scale of the result.
    """

    edge: int
    one: int
    shift: int
    output_scale: float

    @classmethod
    def of(cls, scale: float) -> Gelu:
        """For an input of one scale, at least :data:`FINEST_SCALE`."""
        inner = scale / math.sqrt(2)
        one = max(math.floor(1 / (_A * inner**2)), 1)
        shift = max(one.bit_length() - _ERF_BITS, 0)
        return cls(round(_B / inner), one, shift, scale / (2 * (one >> shift)))

    @property
    def bound(self) -> int:
        """The largest absolute result."""
        return 2 * largest(INPUT_BITS) * (self.one >> self.shift)

    def __call__(self, values: Integers) -> Integers:
        """``values * one + |values| * |erf|``, which is GELU at :attr:`output_scale`, without a sign to take."""
        distance = self.edge - np.minimum(np.abs(values), self.edge)
        erf = np.maximum(self.one - distance**2, 0) >> self.shift
        return np.asarray(values * (self.one >> self.shift) + np.abs(values) * erf)
