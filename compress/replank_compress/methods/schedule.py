"""Replacement schedules: the replacing rate as a pure function of the step.

Source: Xu et al., "BERT-of-Theseus: Compressing BERT by Progressive Module Replacing", EMNLP 2020, section 3.3.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from replank.system.errors import UsageError


@dataclass(frozen=True)
class Schedule(ABC):
    """The replacing rate over the first phase; in the second, every module is replaced.

    :param base_rate: b, the rate that the first phase starts from, 0 < b < 1. (At 0 nothing would ever learn, and at
        1 it would be the fine-tuning of a truncated model.)
    :param ramp: length of the first phase: up to 1 a part of all optimizer steps, above 1 a number of steps.
    """

    base_rate: float = 0.3
    ramp: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.base_rate < 1:
            raise UsageError(
                f"--base-rate is {self.base_rate}; expected more than 0 and less than 1",
                hint="the truncated model alone is trained by --method truncate" if self.base_rate == 1 else None,
            )
        if not 0 < self.ramp < math.inf:
            raise UsageError(
                f"--ramp is {self.ramp}; without a first phase nothing is replaced progressively",
                hint="a part of the training (0.5), or a number of steps (1000)",
            )
        if self.ramp > 1 and self.ramp != int(self.ramp):
            raise UsageError(f"--ramp is {self.ramp}; expected at most 1 (a part) or a whole number of steps")

    def rate(self, step: int, total: int) -> float:
        """The replacing rate of a batch.

        :param step: optimizer steps done before it; 0 for the first batch.
        :param total: all optimizer steps of the training.
        :returns: the probability with which each module is replaced, 0 to 1.
        """
        progress = step / self.ramp_steps(total)
        return 1.0 if progress >= 1 else self.first_phase(progress)

    def ramp_steps(self, total: int) -> float:
        """Steps of the first phase."""
        return self.ramp * total if self.ramp <= 1 else self.ramp

    @abstractmethod
    def first_phase(self, progress: float) -> float:
        """The rate within the first phase.

        :param progress: the part of it that is done, 0 to less than 1.
        """


@dataclass(frozen=True)
class LinearSchedule(Schedule):
    """The paper's curriculum: p(t) = min(1, k·t + b), with k such that p reaches 1 when the first phase ends."""

    def first_phase(self, progress: float) -> float:
        """From b up to 1."""
        return min(1.0, self.base_rate + (1 - self.base_rate) * progress)


@dataclass(frozen=True)
class ConstantSchedule(Schedule):
    """The paper's ablation: p(t) = b until the second phase."""

    base_rate: float = 0.5

    def first_phase(self, progress: float) -> float:
        """Always b."""
        return self.base_rate


@dataclass(frozen=True)
class AntiCurriculumSchedule(Schedule):
    """The paper's ablation: p(t) = 1 - (k·t + b), ever fewer modules replaced, until the second phase."""

    def first_phase(self, progress: float) -> float:
        """From 1 - b down to 0."""
        return max(0.0, 1 - self.base_rate - (1 - self.base_rate) * progress)


SCHEDULES: dict[str, type[Schedule]] = {
    "linear": LinearSchedule,
    "constant": ConstantSchedule,
    "anti-curriculum": AntiCurriculumSchedule,
}
