"""Arrays of integers, and of the reals that they stand for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Reals = NDArray[np.float64]


def multiply_matrices(left: Integers, right: Integers) -> Integers:
    """The matrix product, exact while sums stay below 2^53.

    It is computed in float64, whose products of small integers are exact and a hundred times as fast.
    """
    products: Reals = left.astype(np.float64) @ right.astype(np.float64)
    return products.astype(np.int64)


def largest(bits: int) -> int:
    """The largest value of a signed integer; ranges are symmetric, so that the smallest is its negative."""
    return int(2 ** (bits - 1) - 1)
