"""Training of any method: data, checkpoints, Trainer and its result put together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import EvalPrediction, PrinterCallback, ProgressCallback, TrainerState

from replank.data.balance import tell_of_imbalance
from replank.data.examples import Dataset
from replank.data.training_examples import LabelledExamples
from replank.system.errors import TrainingError, UsageError
from replank.system.processes import is_first_process, process_count
from replank.system.quiet import quiet_transformers
from replank.tasks.kinds.kind import IGNORED
from replank.tasks.metrics import score
from replank.tasks.task import Task
from replank.text.tokenization import TextEncoder
from replank_compress.training.arguments import training_arguments
from replank_compress.training.batches import Collator
from replank_compress.training.callbacks import CheckpointLimit, EarlyStopping, Spending, Watcher
from replank_compress.training.checkpoints import claim, newest, sweep
from replank_compress.training.class_weights import balanced_weights, weighted_loss
from replank_compress.training.config import TrainingConfig
from replank_compress.training.internals import STATE_FILE, supports_activation_checkpointing
from replank_compress.training.method import Method
from replank_compress.training.processes import wait_for_all
from replank_compress.training.trainer import MethodTrainer

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """The facts of a finished training; the weights are in the model.

    :param curve: an entry for each logged loss and each evaluation: step, loss, replacing rate, dev metrics.
    :param steps: optimizer steps done over all runs.
    :param best: the best headline metric on the dev split, that of the model's weights.
    :param layer_steps: Transformer layers run forward, summed over the steps: the compute spent.
    :param seconds: duration of training and its evaluations over all runs.
    :param joules: energy of the processor packages over all runs; ``None`` where the machine cannot measure it.
    """

    curve: list[dict[str, Any]]
    steps: int
    best: float
    layer_steps: int
    seconds: float
    joules: float | None = None


def train(
    method: Method,
    data: Dataset,
    text_encoder: TextEncoder,
    config: TrainingConfig,
    *,
    work: Path,
    fingerprint: dict[str, Any],
    title: str,
) -> Trained:
    """Train a method's model in place; it ends with the weights that did best on the dev split.

    Checkpoints lie in ``work``, from which a later call with the same fingerprint resumes. Ctrl-C and SIGTERM
    end the step, write a checkpoint and raise ``KeyboardInterrupt``; a second Ctrl-C stops at once.

    :param fingerprint: the identity of the run: source, configuration, data.
    :param title: title of the progress bar.
    :raises TrainingError: ``work`` holds checkpoints of another run, or the loss became NaN or infinite.
    :raises UsageError: the model or the hardware cannot be trained as asked.
    """
    train_set, dev_set = data.split("train"), data.split("dev")
    if is_first_process():
        tell_of_imbalance(data)
    total = config.steps(len(train_set))
    if config.checkpoint_activations and not supports_activation_checkpointing(method.model):
        name = type(method.model).__name__
        raise UsageError(f"`checkpoint_activations=True` is not supported by {name} of transformers")
    weights = balanced_weights(data) if config.class_weights else None
    arguments = training_arguments(config, work, len(train_set))
    checkpoint = _claim(work, fingerprint | {"processes": process_count()})
    stopping = EarlyStopping(config.patience, lambda step: method.may_stop(step, total)) if config.patience else None
    if checkpoint and stopping:
        state = TrainerState.load_from_json(str(checkpoint / STATE_FILE))
        # It may have ended already when it was killed, and must not go on from there.
        arguments.max_steps = state.global_step if stopping.is_over(state.log_history) else total
    watcher, spending = Watcher(title), Spending()
    trainer = MethodTrainer(
        method,
        total,
        config.batch_size,
        spending,
        args=arguments,
        train_dataset=LabelledExamples(data.task, text_encoder, train_set, seed=config.seed),
        eval_dataset=LabelledExamples(data.task, text_encoder, dev_set),
        data_collator=Collator(text_encoder, data.task.kind),
        compute_metrics=_metrics_of(data.task),
        preprocess_logits_for_metrics=_argmax if data.task.is_per_token else None,
        callbacks=[watcher, spending, CheckpointLimit(), *([stopping] if stopping else [])],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if checkpoint:
        _log.info("resuming from %s", checkpoint)
    try:
        with quiet_transformers(), watcher, nullcontext() if weights is None else weighted_loss(method.model, weights):
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
    state = trainer.state
    return Trained(
        curve=_curve(state.log_history),
        steps=state.global_step,
        best=float(state.best_metric or 0.0),
        layer_steps=sum(method.layers_run(step, total) for step in range(state.global_step)),
        **spending.so_far(),
    )


def _claim(work: Path, fingerprint: dict[str, Any]) -> Path | None:
    """The checkpoint to resume from. The first process prepares the folder; the others read it afterwards."""
    if is_first_process():
        claim(work, fingerprint)
    wait_for_all()
    return newest(work)


def _curve(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Trainer's log without the entries on its own speed."""
    unwanted = ("runtime", "per_second")
    kept = [entry for entry in history if "loss" in entry or "eval_loss" in entry]
    return [{key: value for key, value in entry.items() if not key.endswith(unwanted)} for entry in kept]


def _metrics_of(task: Task) -> Callable[[EvalPrediction], dict[str, float]]:
    def compute(prediction: EvalPrediction) -> dict[str, float]:
        found, labels = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
        if task.is_per_token:
            pairs = list(zip(found, labels, strict=True))
            values = score(
                task,
                [row[target != IGNORED] for row, target in pairs],
                [target[target != IGNORED] for _, target in pairs],
            )
        else:
            # Of shape (rows, 1) where the loss asks for it.
            values = score(task, task.kind.decide(found.astype(np.float32)), labels.reshape(len(found)))
        return {"headline": values[task.headline]} | values

    return compute


def _argmax(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The answer for each token: the logits of a whole evaluation, over the vocabulary, would not fit into memory."""
    return logits.argmax(dim=-1)
