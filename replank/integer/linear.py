"""Linear layers: products of 8-bit integers, summed in 32 bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from replank.integer.integers import Integers, Reals, largest, multiply_matrices
from replank.integer.quantizer import quantize, row_scales


@dataclass(frozen=True)
class Linear:
    """``x @ weights + bias``.

    :param weights: 8 bits, shape ``(inputs, outputs)``.
    :param bias: at most 30 bits, shape ``(outputs,)``.
    :param scale: of the results, one for each output; the scale of the input is in it.
    """

    weights: Integers
    bias: Integers
    scale: Reals

    @classmethod
    def of(cls, weights: Reals, bias: Reals, input_scale: Reals) -> Linear:
        """From real weights.

        :param weights: shape ``(outputs, inputs)``, as torch keeps them.
        :param input_scale: one, or one for each input, which the weights then take on before they are quantized.
        """
        scaled = weights * input_scale
        scales = row_scales(scaled, bias)
        return cls(quantize(scaled, scales[:, None], 8).T, quantize(bias, scales, 31), scales)

    @property
    def bounds(self) -> Integers:
        """The largest absolute value of each result, whatever the input."""
        return np.asarray(largest(8) * np.abs(self.weights).sum(axis=0) + np.abs(self.bias))

    @property
    def largest_real(self) -> float:
        """The largest real result."""
        return float(np.max(self.bounds * self.scale))

    def __call__(self, values: Integers) -> Integers:
        """Sums in 32 bits.

        :param values: 8 bits, shape ``(..., inputs)``.
        """
        return multiply_matrices(values, self.weights) + self.bias
