"""The baselines: what else one would do to get a smaller model. They prove that replacing is worth it.

Truncation is plain fine-tuning of some of the layers; KD is Hinton et al., "Distilling the Knowledge in a Neural
Network", 2015; PKD is Sun et al., "Patient Knowledge Distillation for BERT Model Compression", EMNLP 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from replank.system.errors import UsageError
from replank.tasks.kinds.kind import IGNORED
from replank_compress.layers import assemble, layer_stack
from replank_compress.successor import SuccessorConfig
from replank_compress.training.method import Method


@dataclass(frozen=True)
class TruncateConfig(SuccessorConfig):
    """Fine-tune the chosen layers of the predecessor, or of the pretrained encoder, as they are."""

    def method(self, predecessor: Any, origin: Any, layers: Sequence[nn.Module], sizes: Sequence[int]) -> Method:
        """Plain training."""
        return Method(assemble(origin, layers))


@dataclass(frozen=True)
class KdConfig(SuccessorConfig):
    """Knowledge distillation: the successor learns the predecessor's answers beside the labels.

    :param temperature: T, by which both models' logits are divided; the soft loss is scaled by T².
    :param soft_weight: α, the soft loss's part in ``α·soft + (1 - α)·hard``, 0 to 1.
    """

    temperature: float = 2.0
    soft_weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.temperature < float("inf"):
            raise UsageError(f"--temperature is {self.temperature}; expected more than 0")
        if not 0 <= self.soft_weight <= 1:
            raise UsageError(f"--soft-weight is {self.soft_weight}; expected 0 to 1")

    def method(self, predecessor: Any, origin: Any, layers: Sequence[nn.Module], sizes: Sequence[int]) -> Method:
        """Distillation from the whole predecessor."""
        return Distillation(predecessor, assemble(origin, layers), self)


@dataclass(frozen=True)
class PkdConfig(KdConfig):
    """Patient knowledge distillation: the successor's layers also learn the predecessor's hidden states.

    :param patient_weight: β, of the squared distance between normalized hidden states of the first token, averaged over
        dimensions, layers and examples as in the authors' code (the paper writes a sum, with the same range of β).
    :param patient_layers: which of the predecessor's: ``skip``, the last of each group; ``last``, the uppermost. The
        output layer itself is left out, as in the paper.
    """

    patient_weight: float = 100.0
    patient_layers: Literal["skip", "last"] = "skip"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.patient_weight < float("inf"):
            raise UsageError(f"--patient-weight is {self.patient_weight}; expected 0 or more")

    def method(self, predecessor: Any, origin: Any, layers: Sequence[nn.Module], sizes: Sequence[int]) -> Method:
        """Distillation with hidden states."""
        if len(sizes) < 2:
            raise UsageError("--method pkd needs two layers or more: the uppermost has no patient loss")
        taught = list(accumulate(sizes))[:-1]
        if self.patient_layers == "last":
            taught = list(range(sum(sizes) - len(taught), sum(sizes)))
        return PatientDistillation(predecessor, assemble(origin, layers), self, taught)


class Distillation(Method):
    """A successor that learns from labels and from the predecessor's logits."""

    def __init__(self, predecessor: Any, successor: Any, config: KdConfig) -> None:
        super().__init__(successor)
        self._predecessor = predecessor.eval().requires_grad_(False)
        self._config = config
        self._taught_depth = len(layer_stack(predecessor))

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """``α·soft + (1 - α)·hard``."""
        return self._combine(model(**inputs), self._teach(inputs), inputs["labels"])

    def layers_run(self, step: int, total: int) -> int:
        """Those of both models."""
        return self._depth + self._taught_depth

    def _teach(self, inputs: dict[str, Any], **wanted: bool) -> Any:
        self._predecessor.to(inputs["labels"].device)
        with torch.no_grad():
            return self._predecessor(**{key: value for key, value in inputs.items() if key != "labels"}, **wanted)

    def _combine(self, learnt: Any, taught: Any, labels: torch.Tensor) -> torch.Tensor:
        soft = soft_loss(learnt.logits, taught.logits, labels, self._config.temperature)
        hard: torch.Tensor = learnt.loss
        return self._config.soft_weight * soft + (1 - self._config.soft_weight) * hard


class PatientDistillation(Distillation):
    """A successor that learns from labels, logits and hidden states.

    :param taught_layers: for each layer of the successor but the last, how many layers of the predecessor lie below the
        hidden state that it learns.
    """

    def __init__(self, predecessor: Any, successor: Any, config: PkdConfig, taught_layers: Sequence[int]) -> None:
        super().__init__(predecessor, successor, config)
        self._taught_layers, self._weight = taught_layers, config.patient_weight

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """KD's loss and the patient one."""
        learnt = model(**inputs, output_hidden_states=True)
        taught = self._teach(inputs, output_hidden_states=True)
        # hidden_states[0] is what the embeddings give.
        pairs = zip(learnt.hidden_states[1:-1], (taught.hidden_states[i] for i in self._taught_layers), strict=True)
        distances = [_normalized_distance(ours[:, 0], theirs[:, 0]) for ours, theirs in pairs]
        return self._combine(learnt, taught, inputs["labels"]) + self._weight * torch.stack(distances).mean()


def soft_loss(learnt: torch.Tensor, taught: torch.Tensor, labels: torch.Tensor, temperature: float) -> torch.Tensor:
    """How far answers are from those of another model.

    :param learnt: logits, shape ``(batch, outputs)`` or ``(batch, length, outputs)``; ``taught`` likewise.
    :param labels: positions with label -100 do not count.
    :returns: T²·KL(taught ∥ learnt), averaged; for regression (one output) the mean squared difference.
    """
    learnt, taught = learnt.float(), taught.float()
    if learnt.shape[-1] == 1:
        return functional.mse_loss(learnt, taught)
    counted = labels != IGNORED
    ours = functional.log_softmax(learnt[counted] / temperature, dim=-1)
    theirs = functional.log_softmax(taught[counted] / temperature, dim=-1)
    return functional.kl_div(ours, theirs, log_target=True, reduction="batchmean") * temperature**2


def _normalized_distance(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    ours, theirs = (functional.normalize(states.float(), dim=-1) for states in (ours, theirs))
    return functional.mse_loss(ours, theirs)
