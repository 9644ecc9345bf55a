"""The training method: a model whose encoder computes in integers."""

from __future__ import annotations

import copy
from typing import Any

import torch

from replank.integer.ranges import Ranges
from replank.tasks.kinds import Kind
from replank_compress.integer.config import IntegerFinetuneConfig
from replank_compress.integer.simulation import Simulation
from replank_compress.methods.soft_labels import SoftLabels, parted
from replank_compress.training.method import Method


class IntegerMethod(Method):
    """Training with quantization.

    While it lasts, ``model.base_model`` computes in integers; its ranges are in its ``state_dict``, and so in every
    checkpoint. The names of the weights stay.

    :param model: a ``PreTrainedModel``, as it was fine-tuned.
    :param name: the model's, for messages.
    :param asks_each_step: whether the model as it was answers at each step, rather than once on all rows.
    :raises ModelError: the encoder does not fit the integer kernels.
    """

    def __init__(
        self, kind: Kind, model: Any, config: IntegerFinetuneConfig, *, name: str, asks_each_step: bool
    ) -> None:
        super().__init__(model)
        self._asked_depth = self._depth if asks_each_step else 0
        self._soft_labels = SoftLabels(kind, config, copy.deepcopy(model) if asks_each_step else None)
        self.simulation = Simulation(model.base_model, name)
        model.base_model.integer_ranges = self.simulation.ranges
        # An attribute of the instance comes before the method of its class.
        model.base_model.forward = self.simulation

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """``α·soft + (1 - α)·hard``, a scalar."""
        given, taught = parted(inputs)
        return self._soft_labels.loss(model(**given), given, taught)

    def layers_run(self, step: int, total: int) -> int:
        """The layers of the model, twice if it also answers at each step as it was."""
        return self._depth + self._asked_depth

    @property
    def ranges(self) -> Ranges:
        """The ranges of the activations, as they are now."""
        return self.simulation.ranges.frozen()

    def extract(self) -> Any:
        """The plain model, in floating point again."""
        del self.model.base_model.forward
        del self.model.base_model.integer_ranges
        return self.model.eval()
