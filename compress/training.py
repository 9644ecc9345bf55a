"""The one place that drives transformers.Trainer: for fine-tuning and for replacing alike."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import EvalPrediction, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from compress.batches import Collator, LengthGrouped, TokenizedExamples
from compress.checkpoints import claim, sweep
from compress.watching import Watcher
from replank.data import Dataset
from replank.environment import available_cores, has_fast_bf16
from replank.errors import TrainingError, UsageError
from replank.metrics import score
from replank.quiet import quiet_transformers
from replank.text import TextEncoder

Precision = Literal["auto", "bf16", "fp32"]
BeforeBatch = Callable[[int, int, int], bool]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingConfig:
    """What fine-tuning and replacing share.

    :param epochs: passes over the training split.
    :param batch_size: examples of one optimizer step.
    :param learning_rate: peak of AdamW's learning rate.
    :param warmup: part of the steps over which the learning rate rises linearly; then it falls linearly to 0.
    :param weight_decay: AdamW's, on all but biases and layer norms.
    :param seed: of initialisation, order of data, dropout and draws.
    :param precision: ``bf16`` runs autocast; ``auto`` means bf16 where the hardware has it.
    """

    epochs: float = 3.0
    batch_size: int = 32
    learning_rate: float = 5e-5
    warmup: float = 0.1
    weight_decay: float = 0.0
    seed: int = 42
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected more than 0")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"--warmup is {self.warmup}; expected a part of the steps, 0 to less than 1")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed is {self.seed}; expected 0 to {2**32 - 1}")

    def steps(self, rows: int) -> int:
        """Optimizer steps of the whole training on that many rows."""
        return max(1, int(self.epochs * -(-rows // self.batch_size)))


@dataclass(frozen=True)
class Trained:
    """What training left behind, beside the weights in the model.

    :param curve: Trainer's log: one entry a logged loss or an evaluation, with the step.
    :param steps: optimizer steps done in all runs together.
    :param best: the best headline metric on the dev split, whose weights the model now has.
    """

    curve: list[dict[str, Any]]
    steps: int
    best: float


def train(
    model: Any,
    data: Dataset,
    text_encoder: TextEncoder,
    config: TrainingConfig,
    *,
    work: Path,
    fingerprint: dict[str, Any],
    title: str,
    before_batch: BeforeBatch | None = None,
) -> Trained:
    """Train a model in place and leave the weights that did best on the dev split in it.

    Checkpoints lie in ``work``, which a later call with the same fingerprint resumes from. Ctrl-C and SIGTERM
    end the step, write a checkpoint and raise ``KeyboardInterrupt``; a second Ctrl-C stops at once.

    :param fingerprint: what makes the run this run: source, configuration, data.
    :param before_batch: called with the step, the micro-batch within it and the total of steps; ``False`` skips the
        batch, which then counts as a step without a gradient.
    :raises TrainingError: ``work`` holds checkpoints of another run, or the loss is not a number any more.
    """
    train_set, dev_set = data.split("train"), data.split("dev")
    total = config.steps(len(train_set))
    arguments = _arguments(config, work, data, len(train_set), total)
    checkpoint = claim(work, fingerprint)
    watcher = Watcher(title, total)
    trainer = _ReplacingTrainer(
        model=model,
        args=arguments,
        train_dataset=TokenizedExamples(train_set, text_encoder),
        eval_dataset=TokenizedExamples(dev_set, text_encoder),
        data_collator=Collator(text_encoder),
        compute_metrics=_metrics_of(data),
        callbacks=[watcher],
    )
    trainer.before_batch = before_batch
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if checkpoint:
        _log.warning("resuming from %s", checkpoint)
    try:
        with quiet_transformers(), watcher:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Exception as error:
        if checkpoint and not watcher.has_begun:
            raise TrainingError(f"cannot resume from {checkpoint}: {error}", hint=f"delete {checkpoint}") from error
        raise
    finally:
        sweep(work)
    # Mixed precision wraps the model's forward; what leaves here computes in fp32 again.
    trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    return Trained(
        _curve(trainer.state.log_history), trainer.state.global_step, float(trainer.state.best_metric or 0.0)
    )


class _ReplacingTrainer(Trainer):
    """Trainer with a word to say before each batch, and an end to a loss that is no number."""

    before_batch: BeforeBatch | None = None
    _step = -1
    _micro_batch = 0

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGrouped:
        dataset: Any = self.train_dataset
        return LengthGrouped(self.args.per_device_train_batch_size, dataset.lengths, self.args.seed)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        step = self.state.global_step
        self._micro_batch = self._micro_batch + 1 if step == self._step else 0
        self._step = step
        if self.before_batch and not self.before_batch(step, self._micro_batch, self.state.max_steps):
            # Every module runs its frozen predecessor: there is no gradient, so nothing is worth computing.
            return torch.zeros((), device=self.args.device)
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} at step {step}",
                hint="choose a smaller --learning-rate, or --precision fp32",
            )
        return loss


def _curve(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Trainer's log without its stopwatch: the same run has the same curve."""
    timed = ("runtime", "per_second", "total_flos")
    kept = [{key: value for key, value in entry.items() if not key.endswith(timed)} for entry in history]
    return [entry for entry in kept if entry.keys() - {"step", "epoch", "train_loss"}]


def _arguments(config: TrainingConfig, work: Path, data: Dataset, rows: int, total: int) -> TrainingArguments:
    cuda = torch.cuda.is_available()
    bf16 = config.precision == "bf16" or (
        config.precision == "auto" and (torch.cuda.is_bf16_supported() if cuda else has_fast_bf16())
    )
    if not cuda:
        torch.set_num_threads(available_cores())
    # An epoch, or 500 steps of a long one: what is lost when a machine dies, at most.
    interval = max(1, min(-(-rows // config.batch_size), 500, total))
    return TrainingArguments(
        output_dir=str(work),
        max_steps=total,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=2 * config.batch_size,
        learning_rate=config.learning_rate,
        warmup_steps=int(config.warmup * total),
        weight_decay=config.weight_decay,
        seed=config.seed,
        bf16=bf16,
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
        ddp_find_unused_parameters=True,
        report_to="none",
        disable_tqdm=True,
    )


def _metrics_of(data: Dataset) -> Callable[[EvalPrediction], dict[str, float]]:
    def compute(prediction: EvalPrediction) -> dict[str, float]:
        values = score(
            data.task, np.asarray(prediction.predictions, dtype=np.float32), np.asarray(prediction.label_ids)
        )
        return {"headline": values[data.task.headline]} | values

    return compute
