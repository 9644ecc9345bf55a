"""A loss in which rare classes count as much as frequent ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from replank.data.examples import Dataset
from replank.system.errors import FieldError
from replank.tasks.kinds import Kind


def balanced_weights(data: Dataset) -> torch.Tensor:
    """The kind's ``balanced`` weights of the classes on the training split, see :meth:`Kind.balanced_weights`.

    :raises FieldError: the task has no classes.
    """
    task, labels = data.task, data.split("train").labels
    if labels is None and task.kind.has_label_names:
        raise FieldError("class_weights", "balanced", "nothing, because the training split has no labels to count")
    if labels is None or not task.kind.has_label_names:
        raise FieldError("class_weights", "balanced", f"nothing, because tasks of kind {task.kind} have no classes")
    return torch.from_numpy(task.kind.balanced_weights(labels, len(task.labels)))


@contextmanager
def weighted_loss(model: Any, kind: Kind, weights: torch.Tensor) -> Iterator[None]:
    """Replace the loss that a model computes in training by the weighted one, until the block ends.

    It is the mean over the targets of a batch, each times the weight of its class; so every method that takes the
    model's own loss takes this one.
    """

    def reweigh(model: Any, _: Any, inputs: dict[str, Any], outputs: Any) -> Any:
        labels = inputs.get("labels")
        if model.training and labels is not None:
            outputs.loss = kind.weighted_loss(outputs.logits.float(), labels, weights.to(labels.device))
        return outputs

    handle = model.register_forward_hook(reweigh, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
