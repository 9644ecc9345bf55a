"""The ranges of activations in training: moving averages, kept with the model's weights in every checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from replank.integer.balance import balanced
from replank.integer.families import Point
from replank.integer.integers import Reals
from replank.integer.ranges import Ranges
from replank.system.errors import TrainingError
from replank_compress.integer.steps import as_reals

MOMENTUM = 0.95
"""The part of an average that a batch leaves as it is (the authors' value); the first batch begins it."""


class MovingRanges(nn.Module):
    """The average, over batches, of the largest absolute value of each activation, or of each of its channels.

    :param points: where the model has activations.
    :param base: the encoder, ``model.base_model``, whose modules they are named after.
    """

    def __init__(self, points: Iterable[Point], base: Any) -> None:
        super().__init__()
        self._points = {point.activation: point for point in points}
        for name, point in self._points.items():
            weight = base.get_submodule(point.module).weight
            channels = weight.shape[-1] if point.side == "input" else weight.shape[0]
            shape = (channels,) if point.per_channel else ()
            unseen = torch.full(shape, torch.nan, dtype=torch.float64, device=weight.device)
            self.register_buffer(_buffer_name(name), unseen)

    def see(self, name: str, ends: Reals) -> None:
        """Take a batch.

        :param ends: the largest absolute value of each channel in it, shape ``(channels,)``.
        :raises TrainingError: they are not finite.
        """
        if not np.isfinite(ends).all():
            raise TrainingError(
                f"the activation {name} is not finite (NaN or infinity): a weight became too large",
                hint="choose a smaller `learning_rate`",
            )
        average = self.get_buffer(_buffer_name(name))
        seen = torch.from_numpy(ends).to(average)
        seen = seen if self._points[name].per_channel else seen.amax()
        average.copy_(torch.where(average.isnan(), seen, MOMENTUM * average + (1 - MOMENTUM) * seen))

    def __getitem__(self, name: str) -> Reals:
        """The range of an activation as it is now: one number, or one for each channel."""
        ends = as_reals(self.get_buffer(_buffer_name(name)))
        return balanced(ends) if self._points[name].per_channel else ends

    def frozen(self) -> Ranges:
        """The ranges of all activations, as they stay."""
        return Ranges({name: self[name] for name in self._points})


def _buffer_name(activation: str) -> str:
    """Names of buffers have no dots."""
    return activation.replace(".", "_")
