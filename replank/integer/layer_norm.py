"""Layer normalization (Kim et al. 2021, equation 14 and section 3.6)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from replank.integer.dyadic import half
from replank.integer.integers import Integers, Reals
from replank.integer.requantizer import Requantizer
from replank.integer.square_root import square_root

RECIPROCAL_BITS = 46
OUTPUT_BITS = 20
"""Bits of a normalized value, of which the largest possible, a row of one single value, is 1."""


@dataclass(frozen=True)
class LayerNorm:
    """Rows of integers to normalized rows, and gamma and beta with the change to 8 bits.

    ``y = q - mean``, ``y / sqrt(sum y**2)`` in steps of 2^-20, which is the normalized value over the root of the
    width; gamma times that root is part of the multiplier that makes it 8 bits wide, and beta is its bias.

    :param epsilon: what the real norm adds to the variance, here to the sum of squares.
    :param affine: gamma, beta, and the requantization to 8 bits.
    """

    epsilon: int
    affine: Requantizer

    @staticmethod
    def steps_of(gamma: Reals) -> Reals:
        """The real size of a step of the normalized values, for each channel."""
        return np.asarray(gamma * (math.sqrt(gamma.size) / 2**OUTPUT_BITS))

    @staticmethod
    def epsilon_of(epsilon: float, scale: float, width: int) -> int:
        """The real epsilon in steps of the sum of squares; at most 2^60."""
        return min(round(epsilon * width / scale**2), 2**60)

    def __call__(self, values: Integers) -> Integers:
        """The norms, in 8 bits; a row of one constant gives beta.

        :param values: at most 22 bits, shape ``(..., width)``.
        """
        return self.affine(normalize(values, self.epsilon))


def normalize(values: Integers, epsilon: int) -> Integers:
    """``(q - mean) / sqrt(sum (q - mean)**2 + epsilon)`` in steps of 2^-20, within 21 bits.

    :param values: at most 22 bits, shape ``(..., width)``; their sums fit 32 bits and the sums of squares 62.
    """
    width = values.shape[-1]
    mean = (values.sum(axis=-1, keepdims=True) + width // 2) // width
    centred = values - mean
    # At least 1, where all values are the same; never less than any |y|, so that the quotient is at most 1.
    root = square_root(np.maximum((centred**2).sum(axis=-1, keepdims=True) + epsilon, 1))
    reciprocal = (1 << RECIPROCAL_BITS) // root
    shift = RECIPROCAL_BITS - OUTPUT_BITS
    return np.asarray((centred * reciprocal + half(shift)) >> np.int64(shift))
