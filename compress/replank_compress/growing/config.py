"""The settings of pretraining."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from replank.system.errors import FieldError
from replank.system.settings import setting
from replank_compress.growing.operators import DEPTH, WIDTH
from replank_compress.growing.schedule import Stage
from replank_compress.training.config import BatchConfig

Moments = Literal["reset", "carried"]


@dataclass(frozen=True)
class PretrainConfig(BatchConfig):
    """The settings of pretraining by masked language modelling.

    :param stages: the growth schedule, the whole encoder last; a single stage grows nothing.
    :param tokenizer: a folder or hub model with the tokenizer; ``None``: it lies beside the configuration.
    :param depth: the operator that adds layers, a key of :data:`replank_compress.growing.operators.DEPTH`.
    :param width: the operator that widens feed-forward layers, a key of :data:`WIDTH`.
    :param noise: the perturbation that tells shared units apart, see :class:`Growth`.
    :param moments: whether AdamW begins anew in each stage, as in the paper's code, or goes on from the moments of the
        stage before, which grow as the weights do.
    :param evaluate_every: optimizer steps between two evaluations on dev, at which a checkpoint is written too.
    """

    batch_size: int = setting(32, "Blocks of --max-length tokens of one optimizer step; of shorter blocks, more.")
    weight_decay: float = setting(0.01, "Weight decay of AdamW, on all parameters but biases and layer norms.")
    stages: tuple[Stage, ...] = setting((Stage(steps=10_000),), "Growth schedule, the whole encoder last.")
    tokenizer: str | Path | None = setting(
        None, "Model folder or hub name whose tokenizer is taken; the one beside the configuration if not given."
    )
    depth: str = setting("stack", "Operator that adds layers.", choices=tuple(DEPTH))
    width: str = setting("share", "Operator that widens feed-forward layers.", choices=tuple(WIDTH))
    noise: float = setting(
        0.5, "Perturbation of shared units, of their weights' deviation; it keeps the function and breaks the symmetry."
    )
    moments: Moments = setting("reset", "AdamW's moments at each growth: begun anew, or carried over as the weights.")
    evaluate_every: int = setting(500, "Optimizer steps between evaluations on dev, with a checkpoint.")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages:
            raise FieldError("stages", "empty", "one stage or more")
        if self.depth not in DEPTH:
            raise FieldError("depth", self.depth, f"one of {', '.join(DEPTH)}")
        if self.width not in WIDTH:
            raise FieldError("width", self.width, f"one of {', '.join(WIDTH)}")
        if not 0 <= self.noise < math.inf:
            raise FieldError("noise", self.noise, "0 or more")
        if self.moments not in ("reset", "carried"):
            raise FieldError("moments", self.moments, "reset or carried")
        if self.evaluate_every < 1:
            raise FieldError("evaluate_every", self.evaluate_every, "1 or more")
