"""The integer square root by Newton's iteration (Kim et al. 2021, algorithm 4)."""

from __future__ import annotations

import numpy as np

from replank.integer.integers import Integers

UPDATES = 6
"""Newton updates that are enough below 2^62; the paper's four are not: 1549996899 needs five."""


def square_root(values: Integers) -> Integers:
    """``floor(sqrt(values))``, exactly.

    The first guess is a power of two above the root, ``2**ceil(bits / 2)`` for a value of that many bits; each update
    ``x -> floor((x + floor(value / x)) / 2)`` falls until it reaches the root, and then is no longer taken.

    :param values: 0 to 2^62 - 1.
    """
    root = first_guesses()[bit_lengths(values)]
    for _ in range(UPDATES):
        root = np.minimum(root, (root + values // np.maximum(root, 1)) >> 1)
    return root


def bit_lengths(values: Integers) -> Integers:
    """The number of bits of each value, counted as the powers of two that it reaches."""
    powers = np.int64(1) << np.arange(62, dtype=np.int64)
    return np.asarray(np.searchsorted(powers, values, side="right"), dtype=np.int64)


def first_guesses() -> Integers:
    """The first guess by the number of bits, 0 to 62."""
    return np.int64(1) << ((np.arange(63, dtype=np.int64) + 1) // 2)
