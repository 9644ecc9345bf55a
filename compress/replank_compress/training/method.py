"""What training drives: a model, and how a step of it goes. Plain fine-tuning is the default of everything."""

from __future__ import annotations

from typing import Any

import torch

from replank_compress.layers import layer_stack


class Method:
    """Plain training of every parameter that requires a gradient.

    :param model: what Trainer trains and saves, a ``PreTrainedModel``. In evaluation mode it answers as the result
        would.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._depth = len(layer_stack(model))

    def before_step(self, step: int, total: int) -> bool:
        """Called before the batch of each optimizer step.

        :param step: optimizer steps done before it.
        :param total: all optimizer steps of the training.
        :returns: ``False`` if the step has nothing to learn from: it is then counted, but not computed.
        """
        return True

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """The loss of a training batch, a scalar.

        :param model: ``self.model``, perhaps wrapped for several processes.
        """
        loss: torch.Tensor = model(**inputs).loss
        return loss

    def replacing_rate(self, step: int, total: int) -> float | None:
        """The replacing rate of a step, where there is such a thing."""
        return None

    def layers_run(self, step: int, total: int) -> int:
        """Transformer layers through which the batch of a step goes forward: the measure of compute."""
        return self._depth

    def may_stop(self, step: int, total: int) -> bool:
        """Whether early stopping may end the training after so many steps."""
        return True

    def extract(self) -> Any:
        """The result, a plain model in evaluation mode."""
        return self.model.eval()
