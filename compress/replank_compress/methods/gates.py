"""The gates of module replacing: which modules run replaced in an optimizer step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def draw_gates(seed: int, step: int, modules: int, rate: float) -> NDArray[np.bool_]:
    """One independent Bernoulli draw per module, for the whole batch of an optimizer step.

    A pure function of its arguments: the gates are the same after a resume, in every process and in every micro-batch.

    :param step: optimizer steps done before.
    :param rate: the replacing rate, the probability of each gate, 0 to 1.
    :returns: shape ``(modules,)``; ``True`` where the successor's layer runs.
    """
    generator = np.random.default_rng([seed, step])
    gates: NDArray[np.bool_] = generator.random(modules) < rate
    return gates
