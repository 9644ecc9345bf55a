"""Targets of a batch: which of them have a loss."""

from __future__ import annotations

import torch

from replank.tasks.kinds.learning import IGNORED


def have_loss(targets: torch.Tensor) -> torch.Tensor:
    """Whether each answer's target has a loss, shape ``(batch,)`` or, where tokens are asked, ``(batch, length)``.

    -100 stands for none among indices of labels. Numbers, one or several an answer, all have one: a number may be -100.

    :param targets: see :meth:`Kind.target_array`.
    """
    if targets.is_floating_point():
        return torch.ones(targets.shape[:1], dtype=torch.bool, device=targets.device)
    return targets != IGNORED
