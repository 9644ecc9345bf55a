"""Facts of a stage in a manifest: those of export and trim, and which each stage has."""

from __future__ import annotations

from dataclasses import dataclass

from replank.models.int8_facts import Int8Facts
from replank.models.training_facts import PretrainingFacts, TrainingFacts
from replank.system.typed_json import added


@dataclass(frozen=True, kw_only=True)
class ExportFacts:
    """Facts of `export`.

    :param data: digest of each split of the data that it was compared on; ``None`` without data.
    :param exporter: ``torchscript`` or ``dynamo``.
    :param fused: number of nodes of each fused operator.
    :param unfused: the parts of the layers that were not fused, in words; ``None`` if everything was.
    :param kept_in_fp32: nodes of an fp16 graph whose values are too large for it; ``None`` for another precision.
    :param local_layers: layers whose tokens see a window of the text. ONNX Runtime has no kernel that computes a window
        alone: such a layer costs as much as one that sees all, in which the square of the length counts.
    """

    data: dict[str, str] | None
    exporter: str
    fused: dict[str, int]
    unfused: str | None = added("0.3.0")
    kept_in_fp32: tuple[str, ...] | None = added("0.3.0")
    local_layers: int | None = added("0.6.0")

    @property
    def chosen_on(self) -> str | None:
        """None: no rows choose anything."""
        return None


@dataclass(frozen=True, kw_only=True)
class TrimFacts:
    """Facts of `trim`; of a pair of numbers, the first is before and the second after.

    :param texts: digest of the file of texts that the vocabulary is to serve.
    :param tokens: of the vocabulary.
    :param rows: texts.
    :param changed_rows: texts that needed a token that went, and are cut otherwise now.
    :param unknown: the part of all tokens that is the unknown one.
    :param tokens_per_text: mean number of tokens, special ones included.
    :param bytes: of the weights.
    """

    texts: str
    tokens: tuple[int, int]
    rows: int
    changed_rows: int
    unknown: tuple[float, float]
    tokens_per_text: tuple[float, float]
    bytes: tuple[int, int]

    @property
    def data(self) -> None:
        """None: no task's data has a part in it."""

    @property
    def chosen_on(self) -> str | None:
        """None: no rows choose anything."""
        return None


StageFacts = TrainingFacts | PretrainingFacts | ExportFacts | Int8Facts | TrimFacts
FACTS_OF_STAGE: dict[str, type[StageFacts]] = {
    "pretrain": PretrainingFacts,
    "finetune": TrainingFacts,
    "compress": TrainingFacts,
    "export": ExportFacts,
    "quantize": Int8Facts,
    "trim": TrimFacts,
}
