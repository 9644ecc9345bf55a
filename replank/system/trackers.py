"""Trackers of experiments that a training can be followed in, by the names of transformers and of their packages."""

from __future__ import annotations

from typing import Literal

from replank.system.errors import MissingExtraError
from replank.system.extras import installed_version

Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]
# Either of them will do for TensorBoard.
_PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX")}
REPORT_TO_HELP = "Tracker that curves are sent to, by transformers' own callback and its variables; none if not given."
TRAINING_ARGUMENTS_HELP = (
    "YAML or JSON file, or JSON as such, of arguments of transformers' TrainingArguments that have no option here: "
    "max_grad_norm, lr_scheduler_type, optim and others."
)


def require_tracker(tracker: Tracker | None) -> None:
    """Refuse a tracker whose package is missing.

    :raises MissingExtraError: with the command that installs it.
    """
    if tracker is None:
        return
    packages = _PACKAGES.get(tracker, (tracker,))
    if not any(map(installed_version, packages)):
        raise MissingExtraError(f"not installed: {packages[0]}", hint=f"pip install {packages[0]}")
