"""Pooling: the vectors of a text's tokens to one vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from replank.tasks.vectors import Pooling


def pool(tokens: NDArray[np.float32], pooling: Pooling | None, *, normalize: bool) -> NDArray[np.float32]:
    """One vector for a text.

    :param tokens: shape ``(tokens, width)``, of real tokens only; ``(width,)`` where ``pooling`` is ``None``.
    :param pooling: the mean of all tokens (Reimers and Gurevych 2019), the first, ``[CLS]``, or another of
        sentence-transformers' ways; ``None`` where the graph has pooled.
    :param normalize: to length one, so that a product of two is their cosine.
    :returns: shape ``(width,)``.
    """
    vector = _POOLINGS[pooling](tokens) if pooling else tokens
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / length if normalize and length else vector, dtype=np.float32)


def _weighted_mean(tokens: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean in which a token weighs as much as its place, the first 1 (Muennighoff 2022)."""
    weights = np.arange(1, len(tokens) + 1, dtype=np.float32)
    return np.asarray(weights @ tokens / weights.sum())


_POOLINGS: Mapping[Pooling, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "mean": lambda tokens: tokens.mean(axis=0),
    "cls": lambda tokens: tokens[0],
    "max": lambda tokens: tokens.max(axis=0),
    "mean_sqrt_len_tokens": lambda tokens: tokens.sum(axis=0) / np.sqrt(len(tokens)),
    "weightedmean": _weighted_mean,
    "lasttoken": lambda tokens: tokens[-1],
}
