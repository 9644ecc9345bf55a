"""Everything that training relies on in transformers without its documentation's promise, and nothing else.

tests/compress/test_trainer_canary.py checks each of these against the installed release.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from transformers import Trainer, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler as LengthGroupedSampler

# The argument that recomputes activations: transformers is renaming it, and removes the old name in release 6.
_NAMES = ("activation_checkpointing", "gradient_checkpointing")
ACTIVATION_CHECKPOINTING = next((field.name for field in fields(TrainingArguments) if field.name in _NAMES), _NAMES[0])
# The files of a checkpoint without which a resumed run would be another one; Trainer writes its state last.
STATE_FILE = "trainer_state.json"
OPTIMIZER_FILE = "optimizer.pt"
CHECKPOINT_FILES = ("model.safetensors", OPTIMIZER_FILE, "scheduler.pt", STATE_FILE)
# A pattern for the states of the random generators, a file for each process.
RANDOM_STATES = "rng_state*.pth"


class MeanLossTrainer(Trainer):
    """Trainer for losses that are the mean over a micro-batch: it divides them by the number of micro-batches."""

    # Releases that have this attribute document it; the others decide by `model_accepts_loss_kwargs`.
    loss_is_scaled_for_ga = False

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs = False


def supports_activation_checkpointing(model: object) -> bool:
    """Whether a model's layers can recompute their activations."""
    return bool(getattr(model, "supports_gradient_checkpointing", False))


def use_one_device(arguments: TrainingArguments) -> None:
    """Keep a process to one device: Trainer would spread each batch over all, and so multiply its size.

    Several devices are used by several processes (torchrun).
    """
    arguments._n_gpu = 1
