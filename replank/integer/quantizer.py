"""Scales of real numbers, and their integers: symmetric, uniform, static (Kim et al. 2021, section 3.1)."""

from __future__ import annotations

import numpy as np

from replank.integer.integers import Integers, Reals, largest

# Of a tensor that is zero throughout, whose scale may be anything.
_SMALLEST_RANGE = 1e-8


def scale_of(range_end: Reals, bits: int) -> Reals:
    """The scale at which integers of some bits reach ``[-range_end, range_end]``, one or one a channel."""
    return np.asarray(np.maximum(range_end, _SMALLEST_RANGE) / largest(bits))


def row_scales(weights: Reals, bias: Reals) -> Reals:
    """A scale for each output channel of a linear layer, for 8-bit weights and biases of at most 30 bits.

    :param weights: shape ``(outputs, inputs)``.
    :param bias: shape ``(outputs,)``; it has the scale of its weights, and would not fit beside weights that are nearly
        zero: their scale is then larger than they need.
    """
    ends = np.maximum(np.abs(weights).max(axis=1), _SMALLEST_RANGE**2)
    return np.asarray(np.maximum(ends / largest(8), np.abs(bias) / 2.0**29))


def quantize(values: Reals, scale: Reals | float, bits: int) -> Integers:
    """The nearest integers, halves to even, within the range of some bits."""
    end = largest(bits)
    return np.clip(np.rint(values / scale), -end, end).astype(np.int64)
