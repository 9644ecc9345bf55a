"""The method `theseus`: progressive module replacing (Xu et al., EMNLP 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from replank.system.errors import UsageError
from replank_compress.methods.schedule import LinearSchedule, Schedule
from replank_compress.methods.theseus import Theseus
from replank_compress.successor import SuccessorConfig
from replank_compress.training.method import Method

SecondPhase = Literal["all", "head", "layers", "none"]
_LEARNING: dict[SecondPhase, tuple[str, ...]] = {
    "all": ("embeddings", "head"),
    "head": ("head",),
    "layers": (),
    "none": (),
}


@dataclass(frozen=True)
class TheseusConfig(SuccessorConfig):
    """How a successor is made by replacing.

    The learning rate is higher than that of the other methods, because at first each layer learns only from the batches
    in which it is drawn. Its layers start from those whose place they take (``spread``): the others of their group
    then find nearly the states that they know. benchmarks/log.md says how the defaults were chosen.

    :param schedule: how the replacing rate grows.
    :param second_phase: what learns once every module is replaced: ``layers`` alone, as in the paper's code; ``head``,
        pooler and head too; ``all``, the embeddings too. ``none`` asks for a training that ends before that.
    """

    learning_rate: float = 2e-4
    init_layers: Literal["first", "spread"] = "spread"
    schedule: Schedule = field(default_factory=LinearSchedule)
    second_phase: SecondPhase = "all"

    def method(self, predecessor: Any, origin: Any, layers: Sequence[nn.Module], sizes: Sequence[int]) -> Method:
        """Replacing within the predecessor."""
        return Replacing(Theseus(predecessor, layers, sizes), self)

    def require_sense(self, total: int) -> None:
        """Refuse a schedule that leaves the successor half replaced, unless that is asked for.

        :raises UsageError: the rate never reaches 1 although it should, or does although it should not.
        """
        ramp = self.schedule.ramp_steps(total)
        if self.second_phase != "none" and ramp >= total:
            raise UsageError(
                f"--ramp {self.schedule.ramp:g} ends after {ramp:g} of {total} steps: the replacing rate never reaches "
                "1, and the successor's layers never learn to work without the predecessor's",
                hint="choose a shorter --ramp or more --epochs; --second-phase none if that is what you want",
            )
        if self.second_phase == "none" and ramp < total:
            raise UsageError(
                f"--second-phase none, but the replacing rate reaches 1 after {ramp:g} of {total} steps",
                hint="--ramp 1 makes the first phase last; or say what learns in the second: all, head or layers",
            )


class Replacing(Method):
    """Each step, each module is drawn or not; what was drawn learns."""

    def __init__(self, theseus: Theseus, config: TheseusConfig) -> None:
        super().__init__(theseus.model)
        self._theseus, self._config = theseus, config
        self._sizes = np.array([len(module.predecessor) for module in theseus.modules])
        # The optimizer takes what can learn when training begins; what is frozen for a while has no gradient then.
        theseus.train_shared(_LEARNING[config.second_phase])

    def gates(self, step: int, total: int) -> NDArray[np.bool_]:
        """Which modules are replaced in a step: one coin a module, for the whole batch.

        A pure function of seed and step: the same after a resume, on every process, and in every micro-batch, so that
        a step of many parts draws as one of a single part does.
        """
        generator = np.random.default_rng([self._config.seed, step])
        drawn: NDArray[np.bool_] = generator.random(len(self._sizes)) < self.replacing_rate(step, total)
        return drawn

    def before_step(self, step: int, total: int) -> bool:
        """Toss the coins. A step on which none falls on the successor has no gradient at all and is skipped."""
        gates = self.gates(step, total)
        self._theseus.replace(gates.tolist())
        in_second_phase = self.replacing_rate(step, total) >= 1
        self._theseus.train_shared(_LEARNING[self._config.second_phase] if in_second_phase else ())
        return bool(gates.any())

    def replacing_rate(self, step: int, total: int) -> float:
        """The schedule's."""
        return self._config.schedule.rate(step, total)

    def layers_run(self, step: int, total: int) -> int:
        """One layer for a replaced module, c for another; none in a step that is skipped."""
        gates = self.gates(step, total)
        return int(np.where(gates, 1, self._sizes).sum()) if gates.any() else 0

    def may_stop(self, step: int, total: int) -> bool:
        """In the second phase only: before, the successor is not what it will be."""
        return self._config.second_phase == "none" or self.replacing_rate(step, total) >= 1

    def extract(self) -> Any:
        """The successor's layers in the predecessor's shell."""
        return self._theseus.extract()
