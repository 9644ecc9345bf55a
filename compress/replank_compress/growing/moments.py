"""AdamW's moments across a growth: carried over as the weights are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from replank_compress.growing.operators import Growth, grow
from replank_compress.training.internals import OPTIMIZER_FILE

# For each parameter by its name: ``exp_avg``, ``exp_avg_sq`` and ``step``.
Moments = Mapping[str, Mapping[str, torch.Tensor]]


def read_moments(checkpoint: Path, model: Any, optimizer: torch.optim.Optimizer) -> Moments:
    """The moments of a checkpoint.

    :param optimizer: a new one of the checkpoint's kind, over the model's parameters.
    """
    optimizer.load_state_dict(torch.load(checkpoint / OPTIMIZER_FILE, map_location="cpu", weights_only=True))
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[parameter]: dict(state) for parameter, state in optimizer.state.items()}


def set_moments(moments: Moments, model: Any, optimizer: torch.optim.Optimizer) -> None:
    """Let an optimizer that has not stepped begin with moments."""
    for name, parameter in model.named_parameters():
        if name in moments:
            optimizer.state[parameter] = {
                key: value.clone() if key == "step" else value.to(parameter.device, copy=True)
                for key, value in moments[name].items()
            }


def grown_moments(moments: Moments, growth: Growth, *, depth: str, width: str) -> Moments:
    """The moments of a larger encoder, such that each weight's step, m / sqrt(v), is that of what it was made from.

    :param growth: its noise is left out.
    """
    still = Growth(growth.encoder, growth.old, growth.new)
    first = grow({name: state["exp_avg"] for name, state in moments.items()}, still, depth=depth, width=width)
    root = {name: state["exp_avg_sq"].sqrt() for name, state in moments.items()}
    second = grow(root, still, depth=depth, width=width)
    step = next(iter(moments.values()))["step"]
    return {name: {"step": step, "exp_avg": first[name], "exp_avg_sq": second[name].square()} for name in first}
