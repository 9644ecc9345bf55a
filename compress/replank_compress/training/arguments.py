"""A training's configuration as transformers takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from replank.models.encoder import Encoder
from replank.system.environment import available_cores
from replank.system.errors import UsageError
from replank.system.processes import local_process_count
from replank_compress.training.config import BatchConfig, TrainingConfig
from replank_compress.training.internals import ACTIVATION_CHECKPOINTING, use_one_device
from replank_compress.training.precision import usable_precision
from replank_compress.training.tracking import name_for_trainer

# A checkpoint and an evaluation are due each epoch, or after so many steps of a longer one: what is lost, at most, when
# a machine dies.
_INTERVAL = 500
_PATIENCE_SECONDS = 6 * 3600


def training_arguments(
    config: TrainingConfig, encoder: Encoder, work: Path, rows: int, *, of_vectors: bool
) -> TrainingArguments:
    """The arguments of Trainer, for a training that ends with the weights that did best on dev.

    :param work: the folder of checkpoints.
    :param rows: rows of the training split.
    :param of_vectors: whether vectors are learned.
    :raises FieldError: the batch cannot be split, or the hardware or the encoder cannot compute in the precision.
    :raises UsageError: transformers refuses an argument that a person sets.
    """
    total = config.steps(rows)
    others: Any = config.training_arguments or {}
    try:
        return step_arguments(
            config,
            encoder,
            work,
            steps=total,
            interval=min(config.steps_per_epoch(rows), _INTERVAL),
            rows_at_once=config.rows_at_once(),
            learning_rate=config.peak_learning_rate(of_vectors=of_vectors),
            warmup_steps=int(config.warmup * total),
            seed=config.seed,
            load_best_model_at_end=True,
            metric_for_best_model="headline",
            greater_is_better=True,
            report_to=name_for_trainer(config.report_to),
            **others,
        )
    except (ValueError, ImportError) as error:
        if not others:
            raise
        raise UsageError(f"`training_arguments`: {error}") from None


def step_arguments(
    config: BatchConfig,
    encoder: Encoder,
    work: Path,
    *,
    steps: int,
    interval: int,
    rows_at_once: int,
    report_to: str = "none",
    **own: Any,
) -> TrainingArguments:
    """The arguments that all trainings share, with others of their own.

    :param interval: steps between two evaluations, at each of which a checkpoint is written.
    :param rows_at_once: examples of a micro-batch.
    :raises FieldError: the hardware or the encoder cannot compute in the precision.
    """
    cuda = torch.cuda.is_available()
    precision = usable_precision(config.precision, encoder, cuda=cuda)
    if not cuda:
        torch.set_num_threads(max(1, available_cores() // local_process_count()))
    interval = max(1, min(interval, steps))
    renamed: dict[str, Any] = {ACTIVATION_CHECKPOINTING: config.checkpoint_activations}
    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=rows_at_once,
        per_device_eval_batch_size=rows_at_once,
        gradient_accumulation_steps=config.micro_batches,
        **renamed,
        **own,
        weight_decay=config.weight_decay,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not cuda,
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        logging_steps=min(50, interval),
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        # Under module replacing, each step uses other parameters.
        ddp_find_unused_parameters=True,
        # The other processes wait while the first evaluates the result.
        ddp_timeout=_PATIENCE_SECONDS,
        report_to=report_to,
        disable_tqdm=True,
    )
    if cuda:
        use_one_device(arguments)
    return arguments
