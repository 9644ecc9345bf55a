"""A Trainer run to its end, from its last checkpoint if there is one, with what users see and what stays behind."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from transformers import PrinterCallback, ProgressCallback

from replank.system.errors import TrainingError
from replank.system.processes import is_first_process
from replank.system.quiet import quiet_transformers
from replank_compress.training.callbacks import Watcher
from replank_compress.training.checkpoints import sweep
from replank_compress.training.processes import wait_for_all
from replank_compress.training.trainer import MethodTrainer

_log = logging.getLogger(__name__)


def run_to_end(
    trainer: MethodTrainer,
    watcher: Watcher,
    checkpoint: Path | None,
    work: Path,
    around: AbstractContextManager[object] | None = None,
) -> None:
    """Train; the trainer's model then computes in fp32 and alone again.

    :param checkpoint: what it goes on from.
    :param work: the folder of its checkpoints.
    :param around: a context of the training.
    :raises TrainingError: the checkpoint cannot be read, or the loss became NaN or infinite.
    """
    # The watcher shows progress.
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if checkpoint:
        _log.info("resuming from %s", checkpoint)
    try:
        with quiet_transformers(), watcher, around or nullcontext():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Exception as error:
        if checkpoint and not watcher.has_begun:
            raise TrainingError(f"cannot resume from {checkpoint}: {error}", hint=f"delete {checkpoint}") from error
        raise
    finally:
        if is_first_process():
            sweep(work)
    # The first process will soon delete the checkpoints, from which the others may still be loading the best.
    wait_for_all()
    # Mixed precision and several processes wrap the model; the result computes in fp32 again, without them.
    trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
