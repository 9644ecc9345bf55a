"""Soft labels: a loss on the predecessor's answers beside that on the labels, for all methods that learn from both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch

from replank.system.errors import FieldError
from replank.system.settings import setting
from replank.tasks.kinds import Kind
from replank_compress.training.config import TrainingConfig
from replank_compress.training.targets import have_loss

# For configurations with another default.
PERTURBED_HELP = (
    "Fraction of the words that are others in copies of the training rows; a copy takes its row's place in every other "
    "pass, and the predecessor's answer to it alone is learned. 0 for no copies."
)
# The key of a batch that holds the predecessor's answers.
TAUGHT = "taught"


@dataclass(frozen=True)
class SoftLabelsConfig(TrainingConfig):
    """The settings of trainings that learn the predecessor's answers besides the labels.

    :param soft_weight: α, the weight of the soft loss in ``α·soft + (1 - α)·hard``, 0 to 1; 0 needs no answers.
    :param temperature: T, by which the logits of both models are divided; the soft loss is scaled by T².
    :param perturbed: the fraction of the words that are others in a copy of each training row, 0 to 1. In each pass
        every other row gives way to its copy, on which the answers alone are learned; 0 makes none.
    :param unlabelled: a table with the task's text columns, whose rows are added to the training split: on them the
        answers alone are learned, with weight 1.
    :param answers: a safetensors file that keeps the predecessor's answers on the training rows, made if it is not
        there, so that several runs share them; ``None`` keeps them with the checkpoints.
    """

    soft_weight: float = setting(
        0.5, "Weight of the predecessor's answers in the loss, 0 to 1; the rest is the labels'."
    )
    temperature: float = setting(2.0, "Temperature of the predecessor's answers.")
    perturbed: float = setting(0.15, PERTURBED_HELP)
    unlabelled: str | os.PathLike[str] | None = setting(
        None, "File of further texts, without labels, on which the predecessor's answers alone are learned."
    )
    answers: str | os.PathLike[str] | None = setting(
        None, "File for the predecessor's answers on the training rows; made, or taken from an earlier run."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.temperature < float("inf"):
            raise FieldError("temperature", self.temperature, "more than 0")
        for name in ("soft_weight", "perturbed"):
            if not 0 <= getattr(self, name) <= 1:
                raise FieldError(name, getattr(self, name), "0 to 1")

    @property
    def learns_answers(self) -> bool:
        """Whether training needs the predecessor's answers."""
        return self.soft_weight > 0 or self.unlabelled is not None


class SoftLabels:
    """The loss on labels and on the predecessor's answers.

    The answers lie in the batch, see :class:`replank_compress.training.answers.Answers`. Where they would be a whole
    vocabulary for tokens that are masked anew in each epoch, the predecessor gives them at each step instead.

    :param predecessor: a model that answers at each step.
    """

    def __init__(self, kind: Kind, config: SoftLabelsConfig, predecessor: Any | None = None) -> None:
        self._kind, self._config = kind, config
        self._predecessor = predecessor and predecessor.eval().requires_grad_(False)

    def loss(self, student: Any, inputs: dict[str, Any], taught: torch.Tensor | None) -> torch.Tensor:
        """``α·soft + (1 - α)·hard``, a scalar: the mean over what is asked. Without a label it is the soft loss alone.

        :param student: the outputs of the model that learns.
        :param inputs: what it was given, ``labels`` among it.
        :param taught: the answers in the batch, see :meth:`Collator.__call__`; ``None`` if there are none.
        """
        hard: torch.Tensor = student.loss
        if not self._config.learns_answers:
            return hard
        labels, alpha = inputs["labels"], self._config.soft_weight
        if taught is None:
            taught = self.answers(inputs).logits
            asked = have_loss(labels)
        else:
            asked = ~taught.isnan().any(dim=-1)
        soft = self._kind.distillation_loss(student.logits[asked], taught[asked], self._config.temperature)
        is_labelled = have_loss(labels).reshape(asked.shape)[asked]
        total = (torch.where(is_labelled, alpha, 1.0) * soft).sum()
        if alpha < 1 and is_labelled.any():
            total = total + (1 - alpha) * is_labelled.sum() * hard
        mean: torch.Tensor = total / asked.sum()
        return mean

    def answers(self, inputs: dict[str, Any], **wanted: bool) -> Any:
        """The predecessor's outputs on a batch, in evaluation mode and without gradients.

        :param wanted: further arguments of its forward, such as ``output_hidden_states``.
        """
        if self._predecessor is None:
            raise ValueError("neither the batch nor a predecessor gives answers")
        self._predecessor.to(inputs["labels"].device)
        with torch.no_grad():
            return self._predecessor(**{key: value for key, value in inputs.items() if key != "labels"}, **wanted)


def parted(inputs: dict[str, Any]) -> tuple[dict[str, Any], torch.Tensor | None]:
    """The model's inputs, and the predecessor's answers if the batch has them."""
    return {name: value for name, value in inputs.items() if name != TAUGHT}, inputs.get(TAUGHT)
