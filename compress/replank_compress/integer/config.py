"""The configuration of training with quantization."""

from __future__ import annotations

from dataclasses import dataclass

from replank.system.errors import FieldError
from replank.system.settings import setting
from replank_compress.methods.soft_labels import PERTURBED_HELP, SoftLabelsConfig
from replank_compress.training.config import EPOCHS_HELP, LEARNING_RATE_HELP


@dataclass(frozen=True)
class IntegerFinetuneConfig(SoftLabelsConfig):
    """Fine-tuning of a model whose encoder computes in integers only (I-BERT).

    It learns the answers that the model gave in floating point; labels too with a ``soft_weight`` below 1. Within the
    encoder there is no dropout, which would be a rounding of its own.
    """

    epochs: float = setting(2.0, EPOCHS_HELP)
    learning_rate: float = setting(2e-6, LEARNING_RATE_HELP)
    soft_weight: float = setting(
        1.0, "Weight of the predecessor's answers in the loss, 0 to 1; the rest is the labels'."
    )
    perturbed: float = setting(0.0, PERTURBED_HELP)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.checkpoint_activations:
            raise FieldError(
                "checkpoint_activations",
                True,
                "nothing: a range would follow each batch twice",
                hint="more `micro_batches` need less memory too",
            )
