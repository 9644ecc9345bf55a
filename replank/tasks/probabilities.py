"""Probabilities of logits, in numpy: where answers are given neither torch nor scipy need be installed."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import ModelError

F = TypeVar("F", bound=np.floating[Any])


def require_finite(logits: NDArray[np.floating[Any]]) -> None:
    """Refuse logits that are no numbers.

    :raises ModelError: one is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise ModelError("the model's logits are not finite numbers (NaN or infinity)")


def softmax(logits: NDArray[F]) -> NDArray[F]:
    """The softmax of each row, shape ``(rows, columns)``, in the logits' own precision."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def sigmoid(logits: NDArray[F]) -> NDArray[F]:
    """σ of each, of any shape: a hyperbolic tangent, which does not overflow where logits are far below zero."""
    half = logits.dtype.type(0.5)
    return np.asarray(np.tanh(logits * half) * half + half)


def log_sum_exp(logits: NDArray[F]) -> NDArray[F]:
    """log Σ exp of each row, shape ``(rows,)``."""
    largest = logits.max(axis=1)
    return np.asarray(largest + np.log(np.exp(logits - largest[:, np.newaxis]).sum(axis=1)))
