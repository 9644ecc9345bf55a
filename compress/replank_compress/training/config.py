"""The settings that all trainings share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from replank.system.errors import FieldError
from replank.system.processes import process_count
from replank.system.settings import setting
from replank.system.trackers import REPORT_TO_HELP, TRAINING_ARGUMENTS_HELP, Tracker

Precision = Literal["auto", "bf16", "fp16", "fp32"]
# For configurations with another default.
EPOCHS_HELP = "Passes over the training split."
LEARNING_RATE_HELP = "Peak learning rate of AdamW."


@dataclass(frozen=True)
class BatchConfig:
    """The settings of every training: how a step is computed.

    :param batch_size: examples of one optimizer step, over all processes and micro-batches together.
    :param micro_batches: parts in which each process computes its share of a step (gradient accumulation). The loss is
        the mean of the parts' means: that of the whole batch, unless the parts have different numbers of targets, as in
        token classification and masked language modelling.
    :param weight_decay: AdamW's, on all parameters but biases and layer norms.
    :param seed: of initialization, order of the data, dropout, masks and gates.
    :param precision: ``bf16`` and ``fp16`` run autocast; ``auto`` is bf16 where that is faster and the encoder
        can, else fp32.
    :param checkpoint_activations: recompute activations in the backward pass instead of keeping them.
    """

    batch_size: int = setting(32, "Examples of one optimizer step.")
    micro_batches: int = setting(1, "Parts in which a step is computed (gradient accumulation); more need less memory.")
    weight_decay: float = setting(0.0, "Weight decay of AdamW, on all parameters but biases and layer norms.")
    seed: int = setting(42, "Seed of initialization, data order, dropout, masks and gates.")
    precision: Precision = setting("auto", "Precision of training; auto is bf16 where that is faster, else fp32.")
    checkpoint_activations: bool = setting(
        False, "Recompute activations in the backward pass instead of keeping them: slower, with less memory."
    )

    def __post_init__(self) -> None:
        for name in ("batch_size", "micro_batches"):
            if not 0 < getattr(self, name) < math.inf:
                raise FieldError(name, getattr(self, name), "more than 0")
        if not 0 <= self.weight_decay < math.inf:
            raise FieldError("weight_decay", self.weight_decay, "0 or more")
        if not 0 <= self.seed < 2**32:
            raise FieldError("seed", self.seed, f"0 to {2**32 - 1}")

    def rows_at_once(self) -> int:
        """Examples of a micro-batch: those that one process computes at once.

        :raises FieldError: the batch cannot be split into so many equal parts.
        """
        parts = process_count() * self.micro_batches
        if self.batch_size % parts:
            expected = f"a multiple of {parts} ({process_count()} processes times {self.micro_batches} micro-batches)"
            raise FieldError("batch_size", self.batch_size, expected)
        return self.batch_size // parts


@dataclass(frozen=True)
class TrainingConfig(BatchConfig):
    """The settings of fine-tuning and of every method of compression.

    :param augment: the result of an attack on the training split, whose adversarial texts are added to it.
    :param epochs: passes over the training split.
    :param learning_rate: the peak learning rate of AdamW; ``None``, of compression alone, is that of what is learned.
    :param warmup: fraction of the steps over which the learning rate rises linearly; it then falls linearly to 0.
    :param patience: evaluations in a row without a better dev metric after which training ends; ``None`` never.
    :param training_arguments: arguments of transformers' ``TrainingArguments`` that have no setting here, or a YAML or
        JSON file of them, which is read at once.
    :param report_to: a tracker that the curves are sent to, by transformers' own callback.
    :param class_weights: ``balanced`` gives each class the same weight in the loss, however few rows it has (that of a
        label is rows / (classes * rows of its class)); ``None`` gives each row the same.
    """

    augment: Path | None = setting(
        None, "Result of replank attack --split train, whose texts that fooled a model are learned from too."
    )
    epochs: float = setting(3.0, EPOCHS_HELP)
    learning_rate: float | None = setting(5e-5, LEARNING_RATE_HELP)
    warmup: float = setting(0.1, "Fraction of the steps over which the learning rate rises; it then falls to 0.")
    patience: int | None = setting(
        None, "Evaluations in a row without a better dev metric after which training ends; never if not given."
    )
    class_weights: Literal["balanced"] | None = setting(
        None,
        "Weights in the loss: balanced gives each class the same, however few rows it has; if not given, each row has.",
    )

    training_arguments: Mapping[str, Any] | Path | None = setting(None, TRAINING_ARGUMENTS_HELP)
    report_to: Tracker | None = setting(None, REPORT_TO_HELP, is_identity=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.training_arguments is not None:
            from replank_compress.training.own_arguments import own_arguments

            object.__setattr__(self, "training_arguments", own_arguments(self.training_arguments))
        if self.report_to not in (None, *get_args(Tracker)):
            raise FieldError("report_to", self.report_to, f"one of {', '.join(get_args(Tracker))}")
        for name in ("epochs", "learning_rate", "patience"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise FieldError(name, value, "more than 0")
        if self.class_weights not in (None, "balanced"):
            raise FieldError("class_weights", self.class_weights, "balanced, or None")
        if not 0 <= self.warmup < 1:
            raise FieldError("warmup", self.warmup, "a fraction of the steps, 0 to less than 1")

    def peak_learning_rate(self, *, of_vectors: bool) -> float:
        """The learning rate: the one given, or compression's default for what is learned, vectors or labels."""
        return self.learning_rate or (3e-4 if of_vectors else 1e-4)

    def steps(self, rows: int) -> int:
        """Optimizer steps of the whole training on so many rows."""
        return max(1, int(self.epochs * self.steps_per_epoch(rows)))

    def steps_per_epoch(self, rows: int) -> int:
        """Optimizer steps of one pass over so many rows."""
        return -(-rows // self.batch_size)


@dataclass(frozen=True)
class FinetuneConfig(TrainingConfig):
    """The settings of fine-tuning: those that all training shares."""
