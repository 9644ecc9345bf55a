"""Replacement schedules: the replacing rate as a pure function of the step.

Source: Xu et al., "BERT-of-Theseus: Compressing BERT by Progressive Module Replacing", EMNLP 2020, section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from replank.errors import UsageError


@dataclass(frozen=True)
class LinearSchedule:
    """The paper's curriculum: p(t) = min(1, k·t + b), with k such that p reaches 1 after a part of the training.

    :param base_rate: b, the replacing rate of the first batch, 0 < b < 1.
    :param ramp: the part of all optimizer steps after which every module is replaced, 0 < ramp ≤ 1. What is left
        is the second phase, in which the successor trains as a whole.
    """

    base_rate: float = 0.3
    ramp: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.base_rate < 1:
            raise UsageError(f"--base-rate is {self.base_rate}; expected more than 0 and less than 1")
        if not 0 < self.ramp <= 1:
            raise UsageError(f"--ramp is {self.ramp}; expected more than 0 and at most 1")

    def rate(self, step: int, total: int) -> float:
        """The replacing rate of a batch.

        :param step: optimizer steps done before it; 0 for the first batch.
        :param total: all optimizer steps of the training.
        :returns: the probability with which each module is replaced, base_rate to 1.
        """
        return min(1.0, self.base_rate + (1 - self.base_rate) * step / (self.ramp * total))
