"""Tensors of whole numbers, in floating point so that gradients can pass, with the size of their steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from replank.integer.integers import Integers, Reals

# Whole numbers up to here are exact in float32, and so are their sums in whatever order.
_EXACT = 2**24


@dataclass(frozen=True)
class Steps:
    """A tensor: ``real = values * scale``.

    :param values: whole numbers; their gradient is that of a step, not of a real unit.
    :param scale: one, or one a channel, the last axis.
    :param bound: the largest absolute value, whatever the input; one, or one a channel.
    """

    values: torch.Tensor
    scale: Reals
    bound: Integers | int

    @property
    def largest_real(self) -> float:
        """The largest real number that it can hold."""
        return float(np.max(self.bound * self.scale))

    @property
    def real(self) -> torch.Tensor:
        """The real numbers, in float32."""
        return self.values.float() * as_tensor(self.scale, self.values).float()


def exact_type(bound: Integers | int) -> torch.dtype:
    """The floating-point type in which whole numbers up to a bound are exact."""
    return torch.float32 if np.max(bound) < _EXACT else torch.float64


def as_tensor(values: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    """An array of constants, on the device of a tensor."""
    return torch.from_numpy(np.asarray(values)).to(like.device)


def as_reals(values: torch.Tensor) -> Reals:
    """A tensor as an array of constants."""
    return np.asarray(values.detach().double().cpu().numpy())


def straight_through(exact: torch.Tensor, real: Callable[[], torch.Tensor]) -> torch.Tensor:
    """The values of one tensor with the gradient of another.

    :param exact: whole numbers, without a gradient.
    :param real: computes what they were rounded from; not called where nobody asks for gradients.
    """
    if not torch.is_grad_enabled():
        return exact
    through: torch.Tensor = _StraightThrough.apply(exact, real())  # type: ignore[no-untyped-call]
    return through


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, exact: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        context.type = real.dtype
        return exact.view_as(exact)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        return None, gradient.to(context.type)
