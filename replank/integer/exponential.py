"""The exponential of numbers that are not positive (Kim et al. 2021, equations 10 to 13 and algorithm 3).

``exp(x) = 2**-z * exp(p)`` with ``x = -z * ln 2 + p`` and ``p`` in ``(-ln 2, 0]``, where a polynomial stands for exp:
``exp(p) = A * (p + B)**2 + C``. The paper divides by ``ln 2`` in steps of its input; here the input has the scale
:data:`INPUT_SCALE`, at which ``ln 2`` is 2^12 steps, so that the division is a shift and nothing of ``ln 2`` is lost.
"""

from __future__ import annotations

import math

import numpy as np

from replank.integer.integers import Integers

LN2_BITS = 12
INPUT_SCALE = math.log(2) / 2**LN2_BITS
"""The scale of the input; finer would overflow 32 bits: the polynomial needs at least 3.6e-5."""

# The polynomial that the authors published as 0.35815147 p^2 + 0.96963238 p + 1; error at most 1.92e-3.
_A = 0.35815147
_B = 0.96963238 / (2 * _A)
LINEAR = round(_B / INPUT_SCALE)
# Of the rounded B, so that exp(0) stays 1.
CONSTANT = round(1 / (_A * INPUT_SCALE**2)) - LINEAR**2
OUTPUT_SCALE = _A * INPUT_SCALE**2
"""The scale of the result, in which 1 is a number of 27 bits."""


def exponential(negated: Integers) -> Integers:
    """``exp(-negated * INPUT_SCALE)`` at :data:`OUTPUT_SCALE`: 0 to 2^27.

    :param negated: the input times -1: 0 to 2^20; from ``16 ln 2`` on the result is below 2^11.
    """
    halvings = negated >> LN2_BITS
    rest = negated - (halvings << LN2_BITS)
    return np.asarray(((LINEAR - rest) ** 2 + CONSTANT) >> halvings)
