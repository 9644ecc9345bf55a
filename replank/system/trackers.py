"""Trackers of experiments that a training can be followed in, by the names of transformers and of their packages."""

from __future__ import annotations

from typing import Literal

Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]
REPORT_TO_HELP = "Tracker that curves are sent to, by transformers' own callback and its variables; none if not given."
TRAINING_ARGUMENTS_HELP = (
    "YAML or JSON file, or JSON as such, of arguments of transformers' TrainingArguments that have no option here: "
    "max_grad_norm, lr_scheduler_type, optim and others."
)
