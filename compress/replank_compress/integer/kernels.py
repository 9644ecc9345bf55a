"""The integer kernels on torch tensors: the integers of :mod:`replank.integer`, the gradients of the real functions.

Constants come from the classes there; only what is done to tensors is written here once more.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from replank.integer.dyadic import half
from replank.integer.exponential import CONSTANT, LINEAR, LN2_BITS
from replank.integer.gelu import Gelu
from replank.integer.integers import Reals
from replank.integer.layer_norm import OUTPUT_BITS, RECIPROCAL_BITS
from replank.integer.requantizer import Requantizer
from replank.integer.softmax import CAP_BITS, MASKED, PROBABILITY_SCALE, TERM_SHIFT, Softmax
from replank_compress.integer.steps import Steps, as_tensor, exact_type, straight_through


def requantized(steps: Steps, scale: Reals, end: int) -> Steps:
    """The same numbers at another scale, clipped to ``[-end, end]``; clipping has no gradient of its own."""
    ratio = np.asarray(steps.scale / scale)
    exact = rescaled(steps.values, Requantizer.of(ratio, input_bound=steps.bound, end=end))
    factor = as_tensor(ratio, exact).to(steps.values.dtype)
    return Steps(straight_through(exact, lambda: steps.values * factor), scale, end)


def clipped(values: torch.Tensor, end: int) -> torch.Tensor:
    """Whole numbers, clipped to ``[-end, end]``."""
    exact = values.detach().clamp(-end, end).to(exact_type(end))
    return straight_through(exact, lambda: values)


@torch.no_grad()
def rescaled(values: torch.Tensor, requantizer: Requantizer) -> torch.Tensor:
    """A requantizer's results."""
    products = values.to(torch.int64, copy=True)
    products.mul_(as_tensor(requantizer.multiplier, values)).add_(as_tensor(requantizer.offset, values))
    products.bitwise_right_shift_(requantizer.shift).clamp_(requantizer.low, requantizer.high)
    return products.to(exact_type(requantizer.high))


def gelu(steps: Steps) -> Steps:
    """GELU of 16-bit integers of one scale."""
    scale = float(steps.scale)
    constants = Gelu.of(scale)
    with torch.no_grad():
        whole = steps.values.int()
        absolute = whole.abs()
        distance = absolute.clamp(max=constants.edge).neg_().add_(constants.edge)
        erf = distance.square_().neg_().add_(constants.one).clamp_(min=0).bitwise_right_shift_(constants.shift)
        exact = whole.mul_(constants.one >> constants.shift).add_(absolute.mul_(erf))
        exact = exact.to(exact_type(constants.bound))
    values = straight_through(exact, lambda: functional.gelu(steps.values * scale) / constants.output_scale)
    return Steps(values, np.asarray(constants.output_scale), constants.bound)


def softmax(scores: Steps, mask: torch.Tensor) -> torch.Tensor:
    """Probabilities in steps of 1/256.

    :param scores: of one scale, shape ``(batch, heads, queries, keys)``.
    :param mask: which keys count, shape ``(batch, 1, 1, keys)``.
    """
    scale = float(scores.scale)
    constants = Softmax.of(scale, int(scores.bound))
    with torch.no_grad():
        masked = scores.values.int().masked_fill_(~mask, MASKED)
        distances = (masked.amax(dim=-1, keepdim=True) - masked).clamp_(max=constants.most)
        rescale = constants.rescale
        distances.mul_(int(rescale.multiplier)).add_(int(half(rescale.shift))).bitwise_right_shift_(rescale.shift)
        terms = _exponential(distances.clamp_(max=2**CAP_BITS)).bitwise_right_shift_(TERM_SHIFT).mul_(mask)
        total = terms.sum(dim=-1, keepdim=True, dtype=torch.int32).clamp_(min=1)
        exact = terms.mul_(256).add_(total >> 1).div_(total, rounding_mode="floor").clamp_(max=255).float()

    def real() -> torch.Tensor:
        # Where all keys are masked any finite number does: those probabilities are of padding.
        logits = (scores.values * scale).masked_fill(~mask, torch.finfo(scores.values.dtype).min)
        return logits.softmax(dim=-1) / PROBABILITY_SCALE

    return straight_through(exact, real)


def _exponential(negated: torch.Tensor) -> torch.Tensor:
    """As :func:`replank.integer.exponential.exponential`."""
    halvings = negated >> LN2_BITS
    rest = negated - (halvings << LN2_BITS)
    return rest.neg_().add_(LINEAR).square_().add_(CONSTANT).bitwise_right_shift_(halvings)


@torch.no_grad()
def normalized(values: torch.Tensor, epsilon: int) -> torch.Tensor:
    """As :func:`replank.integer.layer_norm.normalize`; integers, of 64 bits."""
    width = values.shape[-1]
    whole = values.long()
    mean = (whole.sum(dim=-1, keepdim=True) + width // 2).div_(width, rounding_mode="floor")
    centred = whole.sub_(mean)
    root = _square_root((centred.square().sum(dim=-1, keepdim=True) + epsilon).clamp_(min=1))
    reciprocal = torch.div(2**RECIPROCAL_BITS, root, rounding_mode="floor")
    shift = RECIPROCAL_BITS - OUTPUT_BITS
    return centred.mul_(reciprocal).add_(int(half(shift))).bitwise_right_shift_(shift)


def _square_root(values: torch.Tensor) -> torch.Tensor:
    """``floor(sqrt(values))``: that of float64, which below 2^62 is at most one away, and then mended."""
    root = values.double().sqrt_().long()
    root -= (root.square() > values).long()
    return root + ((root + 1).square() <= values).long()
