"""Training of any method: data, checkpoints, Trainer and its result put together."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import EvalPrediction, TrainerState

from replank.data.balance import tell_of_imbalance
from replank.data.examples import Dataset, Examples
from replank.data.training_examples import LabelledExamples
from replank.system.errors import UsageError
from replank.system.processes import is_first_process, process_count
from replank.tasks.kinds.learning import IGNORED
from replank.tasks.metrics import score
from replank.tasks.retrieval import by_query
from replank.tasks.task import Task
from replank.tasks.thresholds import with_thresholds
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens
from replank_compress.layers import encoder_of_model
from replank_compress.training.answers import ROWS_AT_ONCE, Answers, TaughtExamples
from replank_compress.training.arguments import training_arguments
from replank_compress.training.batches import Collator
from replank_compress.training.callbacks import CheckpointLimit, EarlyStopping, Spending, Watcher
from replank_compress.training.checkpoints import claim, newest
from replank_compress.training.class_weights import balanced_weights, weighted_loss
from replank_compress.training.config import TrainingConfig
from replank_compress.training.internals import STATE_FILE, supports_activation_checkpointing
from replank_compress.training.method import Method
from replank_compress.training.perturbed import perturbed_copies
from replank_compress.training.processes import wait_for_all
from replank_compress.training.running import run_to_end
from replank_compress.training.tracking import own_callbacks
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


class Training:
    """A training of any method, from its data to its result.

    Checkpoints lie in ``work``, from which a later one with the same fingerprint resumes.

    :param model: what is trained, or what that is made of.
    :param title: title of the progress bar.
    :param unlabelled: further texts for the training split, without labels.
    :raises UsageError: the model or the hardware cannot be trained as asked.
    """

    def __init__(
        self,
        model: Any,
        data: Dataset,
        text_encoder: TextEncoder,
        config: TrainingConfig,
        *,
        work: Path,
        title: str,
        unlabelled: Examples | None = None,
    ) -> None:
        if config.checkpoint_activations and not supports_activation_checkpointing(model):
            name = type(model).__name__
            raise UsageError(f"`checkpoint_activations=True` is not supported by {name} of transformers")
        self.data: Dataset = data
        self.text_encoder: TextEncoder = text_encoder
        self._config, self._title = config, title
        train_set, self._dev_set = data.split("train"), data.split("dev")
        train_set = train_set if unlabelled is None else train_set.with_unlabelled(unlabelled)
        self.work = work
        self.examples: LabelledExamples = LabelledExamples(data.task, text_encoder, train_set, seed=config.seed)
        self._train_set = train_set
        self._arguments = training_arguments(
            config, encoder_of_model(model), work, len(train_set), of_vectors=data.task.gives_vectors
        )
        self._total = config.steps(len(train_set))
        self._checkpoint: Path | None = None

    @property
    def batches(self) -> int:
        """Batches of one pass over the training split."""
        return self._config.steps_per_epoch(len(self.examples))

    @property
    def precision(self) -> str:
        """``bf16``, ``fp16`` or ``fp32``."""
        return "bf16" if self._arguments.bf16 else "fp16" if self._arguments.fp16 else "fp32"

    def autocast(self) -> torch.autocast:
        """A context in which models compute in that precision."""
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        device = "cpu" if self._arguments.use_cpu else "cuda"
        return torch.autocast(device, kinds.get(self.precision, torch.bfloat16), enabled=self.precision in kinds)

    def some_batches(self, count: int) -> list[dict[str, torch.Tensor]]:
        """Padded inputs of rows from all over the training split, without targets.

        :param count: of their tokens, about; those of all rows where there are fewer.
        """
        tokens = self.examples.tokens
        rows = math.ceil(len(tokens) * min(1.0, count / sum(self.examples.lengths)))
        chosen = np.unique(np.linspace(0, len(tokens) - 1, rows).astype(int))
        ordered = sorted((tokens[row] for row in chosen), key=len)
        batches = [
            self.text_encoder.pad(ordered[start : start + ROWS_AT_ONCE])
            for start in range(0, len(ordered), ROWS_AT_ONCE)
        ]
        return [{name: torch.from_numpy(value) for name, value in batch.inputs().items()} for batch in batches]

    def perturbed(self, fraction: float) -> list[Tokens]:
        """Copies of the training split with a fraction of its words exchanged; see :func:`perturbed_copies`."""
        copies = perturbed_copies(self._train_set, fraction)
        return LabelledExamples(self.data.task, self.text_encoder, copies).tokens

    def taught(self, answers: Answers, copies: Sequence[Tokens] = (), *, with_answers: bool = True) -> TaughtExamples:
        """The training split with a predecessor's answers on its rows; see :class:`TaughtExamples`."""
        return TaughtExamples(self.examples, self.data.task.kind, answers, copies, with_answers=with_answers)

    def claim(self, fingerprint: dict[str, Any]) -> None:
        """Take the folder of checkpoints.

        The first process prepares it; the others read it afterwards.

        :param fingerprint: the identity of the run: source, configuration, data.
        :raises TrainingError: it holds checkpoints of another run.
        """
        if is_first_process():
            claim(self.work, fingerprint | {"processes": process_count()})
        wait_for_all()
        self._checkpoint = newest(self.work)

    def run(self, method: Method, taught: TaughtExamples | None = None) -> Trained:
        """Train a method's model in place; it ends with the weights that did best on the dev split.

        Ctrl-C and SIGTERM end the step, write a checkpoint and raise ``KeyboardInterrupt``; a second Ctrl-C stops at
        once.

        :param taught: the training split with a predecessor's answers.
        :raises TrainingError: the loss became NaN or infinite.
        """
        data, config, arguments, total = self.data, self._config, self._arguments, self._total
        work, checkpoint = self.work, self._checkpoint
        if is_first_process():
            tell_of_imbalance(data)
        weights = balanced_weights(data) if config.class_weights else None
        stopping = (
            EarlyStopping(config.patience, lambda step: method.may_stop(step, total)) if config.patience else None
        )
        if checkpoint and stopping:
            state = TrainerState.load_from_json(str(checkpoint / STATE_FILE))
            # It may have ended already when it was killed, and must not go on from there.
            arguments.max_steps = state.global_step if stopping.is_over(state.log_history) else total
        watcher, spending = Watcher(self._title), Spending()
        trainer = MethodTrainer(
            method,
            total,
            config.batch_size,
            spending,
            args=arguments,
            train_dataset=self.examples if taught is None else taught,
            eval_dataset=LabelledExamples(data.task, self.text_encoder, self._dev_set),
            data_collator=Collator(self.text_encoder, data.task.kind),
            compute_metrics=_metrics_of(data.task, self._dev_set),
            preprocess_logits_for_metrics=_argmax if data.task.is_per_token else None,
            callbacks=[
                *(watcher, spending, CheckpointLimit()),
                *([stopping] if stopping else []),
                *own_callbacks(config.report_to, work),
            ],
        )
        around = None if weights is None else weighted_loss(method.model, data.task.kind, weights)
        run_to_end(trainer, watcher, checkpoint, work, around)
        state = trainer.state
        return Trained(
            curve=curve_of_log(state.log_history),
            steps=state.global_step,
            best=float(state.best_metric or 0.0),
            layer_steps=sum(method.layers_run(step, total) for step in range(state.global_step)),
            **spending.so_far(),
        )


def curve_of_log(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Trainer's log without the entries on its own speed."""
    unwanted = ("runtime", "per_second")
    kept = [entry for entry in history if "loss" in entry or "eval_loss" in entry]
    return [{key: value for key, value in entry.items() if not key.endswith(unwanted)} for entry in kept]


def _metrics_of(task: Task, dev_set: Examples) -> Callable[[EvalPrediction], dict[str, float]]:
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
            logits = found.astype(np.float32)
            judged = with_thresholds(task, logits, labels)
            decided = judged.decide(logits)
            # Of shape (rows, 1) where the loss asks for it.
            labels = labels.reshape(decided.shape).astype(decided.dtype)
            if dev_set.queries is None:
                values = score(judged, decided, labels, dev_set.groups)
            else:
                values = score(judged, by_query(decided, dev_set.queries), by_query(labels, dev_set.queries))
        return {"headline": values[task.headline]} | values

    return compute


def _argmax(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The answer for each token: the logits of a whole evaluation, over the vocabulary, would not fit into memory."""
    return logits.argmax(dim=-1)
