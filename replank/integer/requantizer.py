"""Requantization: integers of one scale to integers of another, with fewer bits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from replank.integer.dyadic import Dyadic, half
from replank.integer.integers import Integers, Reals

_TERM_BITS = 29


@dataclass(frozen=True)
class Requantizer:
    """``clip(floor((q * multiplier + offset) / 2**shift), low, high)``.

    The offset holds the half that makes floor round to the nearest, halves up, and, where there is one, a bias at the
    new scale: that of a layer norm.

    :param multiplier: one, or one a channel.
    :param offset: one, or one a channel.
    :param low: smallest result; ``high``: largest.
    :param bound: the largest absolute value before the clipping; below 2^30.
    """

    multiplier: Integers
    offset: Integers
    shift: int
    low: int
    high: int
    bound: int

    @classmethod
    def of(cls, ratio: ArrayLike, *, input_bound: ArrayLike, end: int, bias: ArrayLike = 0.0) -> Requantizer:
        """From one scale to another.

        :param ratio: the old scale over the new one, one or one a channel.
        :param input_bound: the largest absolute value of the integers to come, one or one a channel.
        :param end: results lie in ``[-end, end]``.
        :param bias: added to the results, in steps of the new scale.
        """
        ratios, biases = np.asarray(ratio, dtype=np.float64), np.asarray(bias, dtype=np.float64)
        bound = math.ceil(np.max(np.abs(ratios) * np.asarray(input_bound) + np.abs(biases))) + 1
        # The product has at most 61 bits, so that there is room for what a graph adds to make it positive.
        dyadic = Dyadic.of(ratios, max_shift=61 - bound.bit_length())
        offset = half(dyadic.shift) + np.rint(np.ldexp(biases, dyadic.shift)).astype(np.int64)
        return cls(dyadic.multiplier, np.asarray(offset), dyadic.shift, -end, end, bound)

    @property
    def bits(self) -> int:
        """The bits of the results, with their sign."""
        return self.high.bit_length() + 1

    def __call__(self, values: Integers) -> Integers:
        """The integers at the new scale.

        :param values: channels last.
        """
        shifted = (values * self.multiplier + self.offset) >> np.int64(self.shift)
        return np.asarray(np.clip(shifted, self.low, self.high))


def coarse_enough(scale: Reals, largest_real: ArrayLike) -> Reals:
    """A scale, made larger if the largest real number that may be put into it would need more than 29 bits.

    Then a sum of three of them fits 32 bits. Ranges of activations that were ever seen do not need it; those of a
    tensor that is nearly always zero do.
    """
    return np.asarray(np.maximum(scale, np.asarray(largest_real) / 2.0**_TERM_BITS))
