"""Replacement schedules: the replacing rate as a pure function of the optimizer step.

Source: Xu et al., "BERT-of-Theseus: Compressing BERT by Progressive Module Replacing", EMNLP 2020, section 3.3.
A schedule is a class here and a line in :data:`SCHEDULES`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from replank.system.errors import FieldError
from replank.system.settings import setting

_BASE_RATE = "Replacing rate at the start of the first phase, between 0 and 1."


@dataclass(frozen=True)
class Schedule(ABC):
    """The replacing rate over the first phase; in the second, every module is replaced.

    :param base_rate: b, the parameter of the schedule's formula, 0 < b < 1. (At 0 nothing would ever learn, and at 1 it
        would be the fine-tuning of a truncated model.)
    :param ramp: length of the first phase: up to 1 a fraction of all optimizer steps, above 1 a number of steps.
    """

    name: ClassVar[str]
    base_rate: float = setting(0.3, _BASE_RATE)
    ramp: float = setting(0.5, "Length of the first phase: a fraction of all steps (0.5), or a number of them (1000).")

    def __post_init__(self) -> None:
        if not 0 < self.base_rate < 1:
            raise FieldError(
                "base_rate",
                self.base_rate,
                "more than 0 and less than 1",
                hint="`method='truncate'` trains the truncated model alone" if self.base_rate == 1 else None,
            )
        if not 0 < self.ramp < math.inf or (self.ramp > 1 and self.ramp != int(self.ramp)):
            raise FieldError("ramp", self.ramp, "a fraction of all steps (0.5), or a whole number of them (1000)")

    def rate(self, step: int, total: int) -> float:
        """The replacing rate of an optimizer step.

        :param step: optimizer steps done before it; 0 for the first.
        :param total: all optimizer steps of the training.
        :returns: the probability with which each module is replaced, 0 to 1.
        """
        progress = step / self.ramp_steps(total)
        return 1.0 if progress >= 1 else self.first_phase(progress)

    def ramp_steps(self, total: int) -> float:
        """Optimizer steps of the first phase."""
        return self.ramp * total if self.ramp <= 1 else self.ramp

    @abstractmethod
    def first_phase(self, progress: float) -> float:
        """The replacing rate within the first phase.

        :param progress: the fraction of the phase that is done, 0 to less than 1.
        """


@dataclass(frozen=True)
class LinearSchedule(Schedule):
    """The paper's curriculum: p(t) = min(1, k·t + b), with k such that p reaches 1 when the first phase ends."""

    name: ClassVar[str] = "linear"

    def first_phase(self, progress: float) -> float:
        """From b up to 1."""
        return min(1.0, self.base_rate + (1 - self.base_rate) * progress)


@dataclass(frozen=True)
class ConstantSchedule(Schedule):
    """The paper's ablation: p(t) = b until the second phase."""

    name: ClassVar[str] = "constant"
    base_rate: float = setting(0.5, _BASE_RATE)

    def first_phase(self, progress: float) -> float:
        """Always b."""
        return self.base_rate


@dataclass(frozen=True)
class AntiCurriculumSchedule(Schedule):
    """The paper's ablation: p(t) = 1 - (k·t + b), ever fewer modules replaced, until the second phase."""

    name: ClassVar[str] = "anti-curriculum"

    def first_phase(self, progress: float) -> float:
        """From 1 - b down to 0."""
        return max(0.0, 1 - self.base_rate - (1 - self.base_rate) * progress)


_SCHEDULES: tuple[type[Schedule], ...] = (
    LinearSchedule,
    ConstantSchedule,
    AntiCurriculumSchedule,
)

SCHEDULES: Mapping[str, type[Schedule]] = {schedule.name: schedule for schedule in _SCHEDULES}
"""The schedules by name."""
