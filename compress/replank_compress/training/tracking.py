"""Trackers of experiments: transformers' own callbacks, and where TensorBoard's files lie."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from replank.system.extras import installed_version
from replank.system.processes import is_first_process
from replank.system.trackers import Tracker


def name_for_trainer(tracker: Tracker | None) -> str:
    """What Trainer is to report to by itself."""
    return "none" if tracker in (None, "tensorboard") else tracker


def own_callbacks(tracker: Tracker | None, work: Path) -> list[TrainerCallback]:
    """The callback of TensorBoard, with a writer into ``OUT.tensorboard``.

    Trainer's own would write into the folder of checkpoints, which goes away. The variable ``TENSORBOARD_LOGGING_DIR``
    chooses another one.

    :param work: the folder of checkpoints, ``OUT.work``.
    """
    if tracker != "tensorboard" or not is_first_process():
        return []
    from transformers.integrations.integration_utils import TensorBoardCallback

    package = "torch.utils.tensorboard" if installed_version("tensorboard") else "tensorboardX"
    writer = import_module(package).SummaryWriter
    folder = os.environ.get("TENSORBOARD_LOGGING_DIR") or work.with_name(f"{work.stem}.tensorboard")
    make: Any = TensorBoardCallback
    return [make(writer(str(folder)))]
