"""A training method: a model and its loss per step. The base class is plain fine-tuning."""

from __future__ import annotations

from typing import Any

import torch

from replank.references.bank import ReferenceBank
from replank_compress.layers import layer_stack


class Method:
    """Plain fine-tuning of every parameter that requires a gradient.

    :param model: the model that Trainer trains and saves, a ``PreTrainedModel``. In evaluation mode it computes what
        the result of the training computes.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._depth = len(layer_stack(model))

    def before_step(self, step: int, total: int) -> bool:
        """Called exactly once before each optimizer step, however many micro-batches it has.

        :param step: optimizer steps done before it.
        :param total: all optimizer steps of the training.
        :returns: ``False`` if the step has no gradient: it is then counted, but not computed.
        """
        return True

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """The loss of a micro-batch, a scalar: the mean over its targets.

        :param model: ``self.model``, perhaps wrapped for several processes.
        """
        loss: torch.Tensor = model(**inputs).loss
        return loss

    def replacing_rate(self, step: int, total: int) -> float | None:
        """The replacing rate of a step, 0 to 1; ``None`` for methods that do not replace."""
        return None

    def layers_run(self, step: int, total: int) -> int:
        """Transformer layers that the batch of a step passes forward: the measure of compute."""
        return self._depth

    def may_stop(self, step: int, total: int) -> bool:
        """Whether early stopping may end the training after so many steps."""
        return True

    def extract(self) -> Any:
        """The result, a plain model in evaluation mode."""
        return self.model.eval()

    def with_references(self, extracted: Any) -> Any:
        """The extracted model with the references that it was trained with: itself, where there are none.

        :param extracted: see :meth:`extract`.
        """
        return extracted

    def bank(self) -> ReferenceBank | None:
        """The references that the result attends to; ``None`` where it attends to the text alone."""
        return None
