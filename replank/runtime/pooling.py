"""Pooling: the vectors of a text's tokens to one vector."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pooling = Literal["mean", "cls"]


def pool(tokens: NDArray[np.float32], pooling: Pooling, *, normalize: bool) -> NDArray[np.float32]:
    """One vector for a text.

    :param tokens: shape ``(tokens, width)``, of real tokens only.
    :param pooling: the mean of all tokens (Reimers and Gurevych 2019), or the first, ``[CLS]``.
    :param normalize: to length one, so that a product of two is their cosine.
    :returns: shape ``(width,)``.
    """
    vector = tokens.mean(axis=0) if pooling == "mean" else tokens[0]
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / length if normalize and length else vector, dtype=np.float32)
