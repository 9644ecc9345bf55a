"""How a model is trained, and how that is said to transformers."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import TrainingArguments

from replank.system.environment import available_cores, has_fast_bf16
from replank.system.errors import UsageError
from replank.system.processes import local_process_count, process_count

Precision = Literal["auto", "bf16", "fp16", "fp32"]
# A checkpoint and an evaluation are due each epoch, or after as many steps of a long one: what is lost, at most, when a
# machine dies.
_INTERVAL = 500
_PATIENCE_SECONDS = 6 * 3600
# transformers is renaming it.
_ACTIVATION_CHECKPOINTING = next(
    field.name
    for field in fields(TrainingArguments)
    if field.name in ("activation_checkpointing", "gradient_checkpointing")
)


@dataclass(frozen=True)
class TrainingConfig:
    """What fine-tuning and all methods of compression share.

    :param epochs: passes over the training split.
    :param batch_size: examples of one optimizer step, over all processes and micro-batches together.
    :param micro_batches: parts in which each process computes its share of a step; more need less memory. The loss is
        the mean of the parts' means: the whole's, unless parts have different numbers of targets, as where tokens are.
    :param learning_rate: peak of AdamW's learning rate.
    :param warmup: part of the steps over which the learning rate rises linearly; then it falls linearly to 0.
    :param weight_decay: AdamW's, on all but biases and layer norms.
    :param seed: of initialisation, order of data, dropout and draws.
    :param precision: ``bf16`` and ``fp16`` run autocast; ``auto`` means bf16 where the hardware has it, else fp32.
    :param patience: evaluations in a row without a better dev metric after which training ends; ``None`` never.
    :param checkpoint_activations: compute activations again in the backward pass instead of keeping them.
    """

    epochs: float = 3.0
    batch_size: int = 32
    micro_batches: int = 1
    learning_rate: float = 5e-5
    warmup: float = 0.1
    weight_decay: float = 0.0
    seed: int = 42
    precision: Precision = "auto"
    patience: int | None = None
    checkpoint_activations: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "micro_batches", "learning_rate", "patience"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"--{name.replace('_', '-')} is {value}; expected more than 0")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"--warmup is {self.warmup}; expected a part of the steps, 0 to less than 1")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed is {self.seed}; expected 0 to {2**32 - 1}")

    def steps(self, rows: int) -> int:
        """Optimizer steps of the whole training on that many rows."""
        return max(1, int(self.epochs * self.steps_per_epoch(rows)))

    def steps_per_epoch(self, rows: int) -> int:
        """Optimizer steps of one pass over that many rows."""
        return -(-rows // self.batch_size)

    def rows_at_once(self) -> int:
        """Examples that one process computes at once.

        :raises UsageError: the batch cannot be cut into so many equal parts.
        """
        parts = process_count() * self.micro_batches
        if self.batch_size % parts:
            raise UsageError(
                f"--batch-size {self.batch_size} cannot be cut into {process_count()} processes times "
                f"{self.micro_batches} micro-batches",
                hint=f"choose a multiple of {parts}",
            )
        return self.batch_size // parts


def training_arguments(config: TrainingConfig, work: Path, rows: int) -> TrainingArguments:
    """The configuration as Trainer takes it.

    :param work: the folder of checkpoints.
    :param rows: of the training split.
    :raises UsageError: the batch cannot be cut, or there is no hardware for the precision.
    """
    cuda = torch.cuda.is_available()
    if config.precision == "fp16" and not cuda:
        raise UsageError("--precision fp16 needs a CUDA device", hint="on a CPU: --precision bf16, fp32 or auto")
    if not cuda:
        torch.set_num_threads(max(1, available_cores() // local_process_count()))
    total = config.steps(rows)
    interval = max(1, min(config.steps_per_epoch(rows), _INTERVAL, total))
    renamed: dict[str, Any] = {_ACTIVATION_CHECKPOINTING: config.checkpoint_activations}
    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=total,
        per_device_train_batch_size=config.rows_at_once(),
        per_device_eval_batch_size=config.rows_at_once(),
        gradient_accumulation_steps=config.micro_batches,
        **renamed,
        learning_rate=config.learning_rate,
        warmup_steps=int(config.warmup * total),
        weight_decay=config.weight_decay,
        seed=config.seed,
        bf16=_uses_bf16(config.precision, cuda),
        fp16=config.precision == "fp16",
        use_cpu=not cuda,
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="headline",
        greater_is_better=True,
        logging_steps=min(50, interval),
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        # Under replacing, each step uses other parameters.
        ddp_find_unused_parameters=True,
        # The others wait while the first measures the result.
        ddp_timeout=_PATIENCE_SECONDS,
        report_to="none",
        disable_tqdm=True,
    )
    if cuda:
        # Several devices are used by several processes (torchrun); one process would otherwise multiply the batch.
        arguments._n_gpu = 1
    return arguments


def _uses_bf16(precision: Precision, cuda: bool) -> bool:
    if precision != "auto":
        return precision == "bf16"
    return bool(torch.cuda.is_bf16_supported()) if cuda else has_fast_bf16()
