"""The method `theseus`: BERT-of-Theseus, progressive module replacing (Xu et al., EMNLP 2020)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from replank.system.errors import FieldError, UsageError
from replank.system.settings import setting
from replank_compress.methods.config import Start, SuccessorConfig
from replank_compress.methods.gates import draw_gates
from replank_compress.methods.module_replacing import ModuleReplacement
from replank_compress.methods.schedule import SCHEDULES, LinearSchedule, Schedule
from replank_compress.methods.soft_labels import SoftLabels, SoftLabelsConfig, parted
from replank_compress.training.method import Method

SecondPhase = Literal["all", "head", "layers", "none"]
# The shared parts that are trained in the second phase.
_TRAINED: dict[SecondPhase, tuple[str, ...]] = {
    "all": ("embeddings", "head"),
    "head": ("head",),
    "layers": (),
    "none": (),
}


@dataclass(frozen=True)
class TheseusConfig(SuccessorConfig, SoftLabelsConfig):
    """Progressive module replacing: the successor's layers are trained in the predecessor's place.

    benchmarks/log.md says how the defaults were chosen.

    :param module_weight: the weight of module regression in the first phase: each drawn layer also learns the hidden
        states that its group gives for the same input, see :meth:`ModuleReplacement.discrepancy`. It runs both.
    :param schedule: the replacing rate over the training.
    :param second_phase: what is trained once every module is replaced: ``layers``, the successor's alone, as in the
        paper's code; ``head``, pooler and head too; ``all``, the embeddings too. ``none`` asks for a training that ends
        before that.
    """

    name: ClassVar[str] = "theseus"
    module_weight: float = setting(
        0.0, "Weight of what a drawn layer's hidden states lack to its group's, in the first phase; 0 does not ask."
    )
    schedule: Schedule = setting(
        default_factory=LinearSchedule, help="Replacing rate over the first phase.", variants=SCHEDULES
    )
    second_phase: SecondPhase = setting(
        "all",
        "What is trained once every module is replaced: the successor's layers, its pooler and head too, or all of it; "
        "none ends the training before.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.module_weight < float("inf"):
            raise FieldError("module_weight", self.module_weight, "0 or more")

    def method(self, start: Start) -> Method:
        """Module replacing within the predecessor."""
        # It is taken apart, and its embeddings and head are trained: what answers at each step is a copy.
        asked = copy.deepcopy(start.predecessor) if start.asks_each_step and self.learns_answers else None
        soft_labels = SoftLabels(start.kind, self, asked)
        return Replacing(ModuleReplacement(start.predecessor, start.layers, start.sizes), self, soft_labels)

    def require_sense(self, total: int) -> None:
        """Refuse a schedule that leaves the successor half replaced, unless that is asked for.

        :raises UsageError: the replacing rate never reaches 1 although it should, or does although it should not.
        """
        ramp = self.schedule.ramp_steps(total)
        if self.second_phase != "none" and ramp >= total:
            raise UsageError(
                f"`ramp={self.schedule.ramp:g}` ends after {ramp:g} of {total} steps: the replacing rate never reaches "
                "1, and the successor's layers never learn to work without the predecessor's",
                hint="choose a shorter `ramp` or more `epochs`; `second_phase='none'` if that is what you want",
            )
        if self.second_phase == "none" and ramp < total:
            raise UsageError(
                f"`second_phase='none'`, but the replacing rate reaches 1 after {ramp:g} of {total} steps",
                hint="`ramp=1` makes the first phase last; or say what is trained in the second: all, head or layers",
            )


class Replacing(Method):
    """Module replacing: in each optimizer step every module is drawn or not, and the drawn ones learn."""

    def __init__(self, replacement: ModuleReplacement, config: TheseusConfig, soft_labels: SoftLabels) -> None:
        super().__init__(replacement.model)
        self._replacement, self._config, self._soft_labels = replacement, config, soft_labels
        self._sizes = np.array([len(module.predecessor) for module in replacement.modules])
        # The optimizer takes the parameters that are trainable when training begins; those that are frozen during the
        # first phase have no gradient in it.
        replacement.train_shared(_TRAINED[config.second_phase])

    def gates(self, step: int, total: int) -> NDArray[np.bool_]:
        """Which modules run replaced in an optimizer step, shape ``(modules,)``."""
        return draw_gates(self._config.seed, step, len(self._sizes), self.replacing_rate(step, total))

    def before_step(self, step: int, total: int) -> bool:
        """Set the gates. A step with no module replaced has no gradient at all and is skipped."""
        gates = self.gates(step, total)
        self._replacement.replace(gates.tolist(), compares=self._compares(step, total))
        in_second_phase = self.replacing_rate(step, total) >= 1
        self._replacement.train_shared(_TRAINED[self._config.second_phase] if in_second_phase else ())
        return bool(gates.any())

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """``α·soft + (1 - α)·hard``, a scalar; at α = 0, the paper's: the model's own."""
        given, taught = parted(inputs)
        loss = self._soft_labels.loss(model(**given), given, taught)
        if self._config.module_weight:
            loss = loss + self._config.module_weight * self._replacement.discrepancy(given["attention_mask"])
        return loss

    def replacing_rate(self, step: int, total: int) -> float:
        """The schedule's rate, 0 to 1."""
        return self._config.schedule.rate(step, total)

    def layers_run(self, step: int, total: int) -> int:
        """One layer for a replaced module, c for another, both where they are compared; none in a skipped step."""
        gates = self.gates(step, total)
        if not gates.any():
            return 0
        replaced = 1 + self._sizes if self._compares(step, total) else 1
        return int(np.where(gates, replaced, self._sizes).sum())

    def _compares(self, step: int, total: int) -> bool:
        return self._config.module_weight > 0 and self.replacing_rate(step, total) < 1

    def may_stop(self, step: int, total: int) -> bool:
        """In the second phase only: before it, the successor is not yet what it will be."""
        return self._config.second_phase == "none" or self.replacing_rate(step, total) >= 1

    def extract(self) -> Any:
        """The successor's layers with the predecessor's embeddings and head."""
        return self._replacement.extract()
