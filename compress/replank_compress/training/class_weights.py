"""A loss in which rare classes count as much as frequent ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from replank.data.examples import Dataset
from replank.system.errors import FieldError
from replank.tasks.kinds.kind import IGNORED


def balanced_weights(data: Dataset) -> torch.Tensor:
    """scikit-learn's ``balanced`` weights of the classes on the training split, shape ``(classes,)``.

    The weight of a class without a row is 1.

    :raises FieldError: the task has no classes.
    """
    from sklearn.utils.class_weight import compute_class_weight

    task, labels = data.task, data.split("train").labels
    if labels is None or not task.kind.has_label_names:
        raise FieldError("class_weights", "balanced", f"nothing, because tasks of kind {task.kind} have no classes")
    flat = np.concatenate(labels) if task.is_per_token else labels
    present = np.unique(flat)
    weights = np.ones(len(task.labels), dtype=np.float32)
    weights[present] = compute_class_weight("balanced", classes=present, y=flat)
    return torch.from_numpy(weights)


@contextmanager
def weighted_loss(model: Any, weights: torch.Tensor) -> Iterator[None]:
    """Replace the loss that a model computes in training by weighted cross entropy, until the block ends.

    It is the mean over the targets of a batch, each times the weight of its class; so every method that takes the
    model's own loss takes this one.

    :param weights: of the classes, shape ``(outputs,)``.
    """

    def reweigh(model: Any, _: Any, inputs: dict[str, Any], outputs: Any) -> Any:
        labels = inputs.get("labels")
        if model.training and labels is not None:
            logits, targets = outputs.logits.flatten(0, -2).float(), labels.flatten()
            total = functional.cross_entropy(
                logits, targets, weights.to(logits.device), ignore_index=IGNORED, reduction="sum"
            )
            outputs.loss = total / (targets != IGNORED).sum()
        return outputs

    handle = model.register_forward_hook(reweigh, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
