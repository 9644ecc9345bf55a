"""Ranges of channels, between those of the channels themselves and one for all."""

from __future__ import annotations

import numpy as np

from replank.integer.integers import Reals

STRENGTH = 0.7
"""0: one range for all channels, as in the paper; 1: each its own, and the weights take on all of the difference.

Between the two lies the least error, as for SmoothQuant (Xiao et al., ICML 2023), whose formula divides by the largest
weight that reads a channel too: here that is worse, since the weights have a scale for each output.
"""
# A channel that was never seen to be more than this part of the largest counts as that much.
_LEAST = 1e-3


def balanced(ends: Reals) -> Reals:
    """The range of each channel: in proportion to a power of its largest value, and never less than that.

    :param ends: the largest absolute value seen in each channel, shape ``(channels,)``.
    :returns: shape ``(channels,)``.
    """
    highest = float(ends.max())
    return np.asarray(np.maximum(ends, highest * _LEAST) ** STRENGTH * highest ** (1 - STRENGTH))
