"""The baseline `pkd`: patient knowledge distillation.

Source: Sun et al., "Patient Knowledge Distillation for BERT Model Compression", EMNLP 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, ClassVar, Literal

import torch
from torch.nn import functional

from replank.system.errors import FieldError, UsageError
from replank.system.settings import setting
from replank_compress.methods.config import Start
from replank_compress.methods.kd import Distillation, KdConfig
from replank_compress.methods.soft_labels import parted
from replank_compress.training.method import Method


@dataclass(frozen=True)
class PkdConfig(KdConfig):
    """Patient knowledge distillation: the successor's layers also learn the predecessor's hidden states.

    :param patient_weight: β, the weight of the squared distance between normalized hidden states of the first token,
        averaged over dimensions, layers and examples as in the authors' code (the paper writes a sum, with the same
        range of β).
    :param patient_layers: the predecessor's layers that are learned from: ``skip``, the last of each group; ``last``,
        the uppermost. The output layer itself is left out, as in the paper.
    """

    name: ClassVar[str] = "pkd"
    patient_weight: float = setting(100.0, "Weight of the distance between hidden states in the loss.")
    patient_layers: Literal["skip", "last"] = setting(
        "skip", "Layers of the predecessor to learn from: the last of each group (skip), or the uppermost (last)."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.patient_weight < float("inf"):
            raise FieldError("patient_weight", self.patient_weight, "0 or more")

    def method(self, start: Start) -> Method:
        """Distillation from the predecessor's logits and hidden states.

        :raises UsageError: the successor has a single layer.
        """
        if len(start.sizes) < 2:
            raise UsageError("`method='pkd'` needs a successor of two layers or more: the last has no patient loss")
        *taught, depth = accumulate(start.sizes)
        if self.patient_layers == "last":
            taught = list(range(depth - len(taught), depth))
        return PatientDistillation(start, self, taught)


class PatientDistillation(Distillation):
    """A successor trained on labels, and on the predecessor's logits and hidden states.

    :param taught_layers: for each layer of the successor but the last, the number of predecessor layers below the
        hidden state that it learns.
    """

    def __init__(self, start: Start, config: PkdConfig, taught_layers: Sequence[int]) -> None:
        # Hidden states of every token are too many to keep.
        super().__init__(replace(start, asks_each_step=True), config)
        self._taught_layers, self._weight = taught_layers, config.patient_weight

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """The loss of KD plus β times the patient loss, a scalar."""
        given, taught = parted(inputs)
        student = model(**given, output_hidden_states=True)
        teacher = self._soft_labels.answers(given, output_hidden_states=True)
        # hidden_states[0] is the output of the embeddings.
        pairs = zip(student.hidden_states[1:-1], (teacher.hidden_states[i] for i in self._taught_layers), strict=True)
        distances = [_normalized_distance(ours[:, 0], theirs[:, 0]) for ours, theirs in pairs]
        loss = self._soft_labels.loss(student, given, taught)
        return loss + self._weight * torch.stack(distances).mean()


def _normalized_distance(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    ours, theirs = (functional.normalize(states.float(), dim=-1) for states in (ours, theirs))
    return functional.mse_loss(ours, theirs)
