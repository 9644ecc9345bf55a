"""The baseline `kd`: knowledge distillation.

Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from replank_compress.layers import assemble, layer_stack
from replank_compress.methods.config import Start, SuccessorConfig
from replank_compress.methods.soft_labels import SoftLabels, SoftLabelsConfig, parted
from replank_compress.training.method import Method


@dataclass(frozen=True)
class KdConfig(SuccessorConfig, SoftLabelsConfig):
    """Knowledge distillation: the successor learns the predecessor's logits besides the labels."""

    name: ClassVar[str] = "kd"

    def method(self, start: Start) -> Method:
        """Distillation from the whole predecessor into ``origin`` with the given layers."""
        return Distillation(start, self)


class Distillation(Method):
    """A successor trained on labels and on the predecessor's logits."""

    def __init__(self, start: Start, config: KdConfig) -> None:
        super().__init__(assemble(start.origin, start.layers))
        self._asked_depth = len(layer_stack(start.predecessor)) if start.asks_each_step else 0
        self._soft_labels = SoftLabels(start.kind, config, start.predecessor if start.asks_each_step else None)

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """``α·soft + (1 - α)·hard``, a scalar."""
        given, taught = parted(inputs)
        return self._soft_labels.loss(model(**given), given, taught)

    def layers_run(self, step: int, total: int) -> int:
        """The layers of the successor, and of the predecessor if it answers at each step."""
        return self._depth + self._asked_depth
