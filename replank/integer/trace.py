"""The largest absolute value of each tensor of an integer encoder, against what its bits can hold."""

from __future__ import annotations

import numpy as np

from replank.integer.integers import Integers


class Trace:
    """An observer that keeps the largest absolute value of each tensor over all calls.

    :ivar found: by the tensor's name: the largest absolute value and the bits that it has room in, sign included.
    """

    def __init__(self) -> None:
        self.found: dict[str, tuple[int, int]] = {}

    def __call__(self, name: str, values: Integers, bits: int) -> None:
        """Observe one tensor."""
        before, _ = self.found.get(name, (0, bits))
        self.found[name] = max(before, int(np.abs(values).max(initial=0))), bits
