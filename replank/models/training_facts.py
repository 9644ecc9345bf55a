"""What the stages that train remember of their work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Origin:
    """Name and digest of a model that training started from, beside the predecessor."""

    name: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class ReferenceFacts:
    """Facts of the bank of references that a model attends to.

    :param style: what it is a reconstruction of.
    :param digest: of its content.
    :param texts: training texts that can be a reference; ``tokens``, those kept of all of them.
    :param bytes: of its arrays.
    :param precision: of keys and values: ``fp16`` or ``int8``.
    :param retrieval: the name of the rule by which a text's reference is found.
    """

    style: str
    digest: str
    texts: int
    tokens: int
    bytes: int
    precision: str
    retrieval: str

    @property
    def summary(self) -> str:
        """One line for a person."""
        return (
            f"{self.style}: {self.texts:,} texts of {self.tokens:,} tokens, found by {self.retrieval}; "
            f"{self.bytes / 1e6:.1f} MB in {self.precision}"
        )


@dataclass(frozen=True, kw_only=True)
class TrainingFacts:
    """Facts of `finetune` and `compress`.

    :param init_from: the model whose layers the successor started from, if that is not the predecessor.
    :param data: digest of each split.
    :param steps: optimizer steps.
    :param best_dev: the headline metric on dev at the best checkpoint, by its name.
    :param layer_steps: Transformer layers run forward, summed over the steps: the compute spent.
    :param answers: the digest of the predecessor's answers that were learned from, where they were.
    :param unexplained: where the layers to start from were fitted, the part of the variance of each group's outputs
        that they left unexplained.
    :param unlabelled: the digest of the texts without labels that were learned from, where there were any.
    :param references: what the model attends to beside each text, where it does.
    :param integer_metrics: on the held-out split, with the encoder in integers, of a model that was trained so.
    :param curve: Trainer's log; a file of its own since 0.1.0.
    """

    init_from: Origin | None = None
    data: dict[str, str]
    steps: int
    best_dev: dict[str, float]
    layer_steps: int | None = None
    answers: str | None = None
    unexplained: tuple[float, ...] | None = None
    unlabelled: str | None = None
    references: ReferenceFacts | None = None
    integer_metrics: dict[str, float] | None = None
    curve: tuple[dict[str, Any], ...] | None = None

    @property
    def chosen_on(self) -> str | None:
        """The digest of the rows that chose the checkpoint."""
        return self.data.get("dev")


@dataclass(frozen=True, kw_only=True)
class GrowthStage:
    """A stage of pretraining.

    :param layers: Transformer layers; ``width``, of the feed-forward layers.
    :param length: tokens of a block; ``pooling``, how many become one from the second layer on.
    :param parameters: of the stage's encoder, with its head.
    :param flops: of all its steps, forward and backward.
    :param first_loss: the held-out loss of masked language modelling as the stage began, right after a growth.
    :param last_loss: that at its end.
    """

    steps: int
    layers: int
    width: int
    length: int
    pooling: int
    parameters: int
    flops: int
    first_loss: float
    last_loss: float


@dataclass(frozen=True, kw_only=True)
class PretrainingFacts:
    """Facts of `pretrain`.

    :param data: digest of each split.
    :param stages: those of the growth schedule, the whole encoder last.
    :param stage_seconds: duration of each stage's steps, evaluations left out.
    :param processor_seconds: of each stage's steps, which hold on a busy machine too.
    """

    data: dict[str, str]
    stages: tuple[GrowthStage, ...]
    stage_seconds: tuple[float, ...]
    processor_seconds: tuple[float, ...]

    @property
    def chosen_on(self) -> str | None:
        """None: the last weights are taken, whatever the held-out loss."""
        return None

    @property
    def predicted_speedup(self) -> float:
        """By FLOPs: those of as many steps of the whole encoder, over those that were spent, minus 1."""
        return self._speedup([stage.flops for stage in self.stages])

    @property
    def measured_speedup(self) -> float:
        """Likewise by the seconds of the steps."""
        return self._speedup(self.stage_seconds)

    @property
    def processor_speedup(self) -> float:
        """Likewise by processor time."""
        return self._speedup(self.processor_seconds)

    def _speedup(self, costs: Sequence[float]) -> float:
        steps = sum(stage.steps for stage in self.stages)
        return steps * costs[-1] / self.stages[-1].steps / sum(costs) - 1
