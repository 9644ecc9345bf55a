"""Calibration: the range of each activation of a torch model on texts of the task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from replank.integer.balance import balanced
from replank.integer.families import Point, family_of
from replank.integer.integers import Reals
from replank.integer.ranges import Ranges
from replank.system.progress import progress
from replank.text.padding import Batch


def calibrate(model: Any, name: str, batches: Sequence[Batch]) -> Ranges:
    """The largest values on some texts.

    :param model: of transformers, in evaluation mode.
    :param name: of the model, for messages.
    :param batches: without padding, whose activations would count otherwise.
    :raises ModelError: the model does not fit the integer kernels, or a value is not finite.
    """
    found: dict[str, Reals] = {}
    base = model.base_model
    points = points_of(model, name)
    handles = [_watch(base.get_submodule(point.module), point, found) for point in points]
    try:
        with torch.inference_mode(), progress("calibrate", len(batches)) as advance:
            for batch in batches:
                base(**{key: torch.from_numpy(value) for key, value in batch.inputs().items()})
                advance(1)
    finally:
        for handle in handles:
            handle.remove()
    # Ranges refuses what is not finite, before it is made into ranges of channels.
    seen = Ranges(found)
    return Ranges({point.activation: _range(point, seen[point.activation]) for point in points})


def points_of(model: Any, name: str) -> list[Point]:
    """The places in a model where ranges are seen."""
    config = model.config.to_dict()
    layers = len(model.base_model.get_submodule(family_of(config, name).stack))
    return list(family_of(config, name).points(layers, projects=hasattr(model.base_model, "embeddings_project")))


def _watch(module: nn.Module, point: Point, found: dict[str, Reals]) -> Any:
    def see(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        values = inputs[0] if point.side == "input" else output
        ends = values.abs().flatten(0, -2).amax(0).double().numpy()
        found[point.activation] = np.maximum(found.get(point.activation, 0.0), ends)

    return module.register_forward_hook(see)


def _range(point: Point, ends: Reals) -> Reals:
    return balanced(ends) if point.per_channel else np.asarray(ends.max())
