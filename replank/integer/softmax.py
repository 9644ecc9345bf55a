"""The softmax over the keys of an attention (Kim et al. 2021, algorithm 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from replank.integer.dyadic import Dyadic
from replank.integer.exponential import INPUT_SCALE, LN2_BITS, exponential
from replank.integer.integers import Integers

PROBABILITY_SCALE = 1 / 256
"""The scale of the probabilities; 256 itself does not fit 8 bits, and a probability of 1 is 255."""
CAP_BITS = LN2_BITS + 4
"""Scores further than ``16 ln 2`` below the largest count as that far: their exponential is then zero in 16 bits."""
TERM_SHIFT = 11
"""Bits that exponentials lose, so that they have 16 and 2^15 keys can be summed in 32."""
MASKED = -(2**30)
"""The score of a key that is masked; it is never the largest, unless all are masked."""
MOST_KEYS = 2**15

_MAXIMAL_RATIO = 2.0**CAP_BITS


@dataclass(frozen=True)
class Softmax:
    """Scores to probabilities.

    :param rescale: distances from the largest score to the scale of exp, within 32 bits.
    :param most: the largest distance that is told apart, in steps of the scores.
    """

    rescale: Dyadic
    most: int

    @classmethod
    def of(cls, score_scale: float, score_bound: int) -> Softmax:
        """For scores of one scale.

        :param score_scale: the scale of queries times that of keys, over the root of the width of a head.
        :param score_bound: the largest absolute score.
        """
        ratio = min(score_scale / INPUT_SCALE, _MAXIMAL_RATIO)
        most = min(math.ceil(2**CAP_BITS / ratio) + 1, 2 * score_bound)
        # The product must fit 31 bits, its rounding included.
        return cls(Dyadic.of(ratio, bits=29 - most.bit_length(), max_shift=29), most)

    def __call__(self, scores: Integers, mask: Integers) -> Integers:
        """Probabilities at :data:`PROBABILITY_SCALE`, 0 to 255; exactly 0 for masked keys, also where all are.

        :param scores: shape ``(..., queries, keys)``.
        :param mask: 0 for masked keys; it broadcasts to the shape of the scores.
        """
        masked = np.where(mask != 0, scores, MASKED)
        highest = masked.max(axis=-1, keepdims=True)
        distances = np.minimum(self.rescale(np.minimum(highest - masked, self.most)), 2**CAP_BITS)
        terms = (exponential(distances) >> TERM_SHIFT) * (mask != 0)
        total = np.maximum(terms.sum(axis=-1, keepdims=True), 1)
        return np.asarray(np.minimum((terms * 256 + (total >> 1)) // total, 255))
