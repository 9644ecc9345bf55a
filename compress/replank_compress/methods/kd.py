"""The baseline `kd`: knowledge distillation.

Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from replank.system.errors import FieldError
from replank.system.settings import setting
from replank_compress.layers import assemble, layer_stack
from replank_compress.methods.config import Start, SuccessorConfig
from replank_compress.training.method import Method


@dataclass(frozen=True)
class KdConfig(SuccessorConfig):
    """Knowledge distillation: the successor learns the predecessor's logits besides the labels.

    :param temperature: T, by which the logits of both models are divided; the soft loss is scaled by T².
    :param soft_weight: α, the weight of the soft loss in ``α·soft + (1 - α)·hard``, 0 to 1.
    """

    name: ClassVar[str] = "kd"
    temperature: float = setting(2.0, "Temperature of the soft labels.")
    soft_weight: float = setting(0.5, "Weight of the soft labels in the loss, 0 to 1; the rest is the hard labels'.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.temperature < float("inf"):
            raise FieldError("temperature", self.temperature, "more than 0")
        if not 0 <= self.soft_weight <= 1:
            raise FieldError("soft_weight", self.soft_weight, "0 to 1")

    def method(self, start: Start) -> Method:
        """Distillation from the whole predecessor into ``origin`` with the given layers."""
        return Distillation(start, self)


class Distillation(Method):
    """A successor trained on labels and on the predecessor's logits."""

    def __init__(self, start: Start, config: KdConfig) -> None:
        super().__init__(assemble(start.origin, start.layers))
        self._teacher = start.predecessor.eval().requires_grad_(False)
        self._teacher_depth = len(layer_stack(self._teacher))
        self._kind, self._config = start.kind, config

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """``α·soft + (1 - α)·hard``, a scalar."""
        return self.distillation_loss(model(**inputs), self.teach(inputs), inputs["labels"])

    def layers_run(self, step: int, total: int) -> int:
        """The layers of both models."""
        return self._depth + self._teacher_depth

    def teach(self, inputs: dict[str, Any], **wanted: bool) -> Any:
        """The predecessor's outputs, in evaluation mode and without gradients.

        :param wanted: further arguments of its forward, such as ``output_hidden_states``.
        """
        self._teacher.to(inputs["labels"].device)
        with torch.no_grad():
            return self._teacher(**{key: value for key, value in inputs.items() if key != "labels"}, **wanted)

    def distillation_loss(self, student: Any, teacher: Any, labels: torch.Tensor) -> torch.Tensor:
        """``α·soft + (1 - α)·hard`` of the outputs of both models, a scalar."""
        soft = self._kind.distillation_loss(student.logits, teacher.logits, labels, self._config.temperature)
        hard: torch.Tensor = student.loss
        return self._config.soft_weight * soft + (1 - self._config.soft_weight) * hard
