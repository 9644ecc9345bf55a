"""Facts that a manifest holds: what was measured on a model, and what each stage remembers of its work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from replank.system.environment import Processor
from replank.system.typed_json import added


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Metrics of a model on one split.

    :param data: digest of the examples, so that two numbers are compared only if they come from the same rows.
    :param metrics: by name, the headline first; fractions.
    :param unseen_words: the words beyond the length that the model reads, which no metric counts.
    :param majority_share: the fraction of the rows, or words, with the most frequent label: the accuracy of always
        answering it; ``None`` where labels are no names.
    :param chosen_on_it: whether these rows also chose something about the model: its checkpoint, or what INT8 keeps in
        floating point. Then expect less on new data. ``None`` where that is not known.
    :param baselines: metrics of what needs no model, by its name, where candidates are ranked; and their ceiling.
    :param mismatched: on the other held-out split of a task that has two (MNLI).
    :param source_metrics: of the model that this one was quantized from, on the same rows.
    :param drop: the headline metric of the source minus this model's.
    """

    split: str
    rows: int
    data: str
    metrics: dict[str, float]
    unseen_words: int | None = None
    majority_share: float | None = None
    chosen_on_it: bool | None = None
    baselines: dict[str, dict[str, float]] | None = None
    mismatched: Quality | None = None
    source_metrics: dict[str, float] | None = None
    drop: float | None = None

    @property
    def cautions(self) -> list[str]:
        """What else a reader of the metrics must know, each in a sentence without its full stop."""
        found = []
        if self.chosen_on_it:
            found.append(f"{self.split} also chose the model: expect less on new data")
        if self.majority_share is not None and "accuracy" in self.metrics:
            found.append(f"always answering the most frequent label has accuracy {self.majority_share:.4f}")
        for name, metrics in (self.baselines or {}).items():
            found.append(f"{name}: {', '.join(f'{metric} {value:.4f}' for metric, value in metrics.items())}")
        return found


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The difference of two models' logits on one case.

    :param case: its name, such as ``left padding``.
    :param rows: number of answers compared: texts, or tokens if the model answers per token.
    :param max_abs: largest absolute difference.
    :param mean_abs: mean absolute difference.
    :param scale: largest absolute logit of the reference.
    :param cosine: cosine similarity of all logits, -1 to 1.
    :param sqnr_db: signal-to-quantization-noise ratio in decibels; ``None`` if the logits are equal.
    :param label_agreement: fraction of rows with the same label; ``None`` if the task has no labels.
    """

    case: str
    rows: int
    max_abs: float
    mean_abs: float
    scale: float
    cosine: float | None = added("0.2.0")
    sqnr_db: float | None
    label_agreement: float | None

    def within(self, tolerance: float) -> bool:
        """Whether the largest difference is within a tolerance; NaN never is."""
        return bool(self.max_abs <= tolerance * max(1.0, self.scale))


@dataclass(frozen=True, kw_only=True)
class Differences:
    """The differences of a model's logits from its source's.

    :param tolerance: bound on ``max_abs``, scaled; ``None`` if the task's metric decides instead (INT8).
    :param max_abs: the largest of all cases.
    """

    tolerance: float | None
    max_abs: float
    cases: tuple[Difference, ...]

    @property
    def failures(self) -> list[Difference]:
        """The cases outside the tolerance; without a tolerance, those with NaN or infinite logits."""
        bound = math.inf if self.tolerance is None else self.tolerance
        return [case for case in self.cases if not (math.isfinite(case.max_abs) and case.within(bound))]


@dataclass(frozen=True)
class Origin:
    """Name and digest of a model that training started from, beside the predecessor."""

    name: str
    digest: str


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


@dataclass(frozen=True)
class FloatWeights:
    """A weight matrix that an INT8 graph keeps in floating point, with the node that reads it."""

    node: str
    operator: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PartBytes:
    """Bytes of a graph's weights, in two parts."""

    embeddings: int
    rest: int


@dataclass(frozen=True)
class Int8Sizes:
    """Bytes of the weights before and after."""

    source: PartBytes
    int8: PartBytes

    @property
    def parts(self) -> list[tuple[str, int, int]]:
        """Name of each part, and its bytes before and after."""
        return [(name, size, getattr(self.int8, name)) for name, size in vars(self.source).items()]


@dataclass(frozen=True)
class Int8Speed:
    """Median latencies of one text, measured in turn.

    :param length: its tokens.
    :param source_ms: of the fp32 model, in milliseconds.
    :param ms: of the INT8 model.
    """

    length: int
    source_ms: float
    ms: float

    @property
    def ratio(self) -> float:
        """The speed as a multiple of the source's."""
        return self.source_ms / self.ms


@dataclass(frozen=True)
class IntegerTensor:
    """A tensor of an encoder that computes in integers.

    :param bits: that it has room in, sign included.
    :param largest: its largest absolute value on the calibration texts; the limit is ``2**(bits - 1) - 1``.
    """

    name: str
    bits: int
    largest: int


@dataclass(frozen=True, kw_only=True)
class IntegerFacts:
    """Facts of an encoder that computes in integers.

    :param target: the kernels that its 8-bit types were chosen for, ``cpu`` or ``cuda``.
    :param compared: how many integers of hidden states were compared with the definition; all were equal.
    :param types: the number of tensors of each type between the inputs and the head.
    :param float_tensors: the tensors of floating point: all of them in the head.
    :param tensors: the integers, in the order of computation.
    """

    target: str
    compared: int
    types: dict[str, int]
    float_tensors: tuple[str, ...]
    tensors: tuple[IntegerTensor, ...]


@dataclass(frozen=True, kw_only=True)
class Int8Facts:
    """Facts of `quantize`.

    :param data: digest of each split of the data; ``None`` without data.
    :param scheme: name of the scheme.
    :param quantized: number of nodes of each fused operator of the source.
    :param kept_in_float: the weights that accuracy control left as they were, largest first.
    :param instruction_sets: of the machine that it was made on.
    :param target: the instructions that it was made for.
    :param reduce_range: whether weights have 7 bits, which do not overflow where sums have 16.
    :param speed: ``None`` if the machine that it was made on is not the target.
    :param batch_difference: the largest difference of a logit of a text in a batch from that of the text alone.
    :param integer: of the scheme ``integer``.
    """

    data: dict[str, str] | None
    scheme: str
    quantized: dict[str, int]
    kept_in_float: tuple[FloatWeights, ...]
    instruction_sets: tuple[str, ...]
    target: str | None = added("0.2.0")
    reduce_range: bool
    sizes: Int8Sizes | None = added("0.2.0")
    speed: Int8Speed | None = added("0.2.0")
    batch_difference: float | None = added("0.4.0")
    integer: IntegerFacts | None = added("0.6.0")

    @property
    def is_batch_invariant(self) -> bool:
        """Whether an answer is the same whatever shares its batch; dynamic scales before 0.4.0 were a batch's."""
        if self.batch_difference is None:
            return self.scheme != "dynamic"
        return self.batch_difference <= 1e-4

    @property
    def chosen_on(self) -> str | None:
        """The digest of the rows that chose what stays in floating point: of dev, else of the held-out split."""
        return None if self.data is None else self.data.get("dev", self.data.get("test"))


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


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """A model under attack, measured after it was made: words replaced until it changes its answer (BERT-Attack).

    :param split: the split that the attacked texts are of, ``rows`` of them; ``data`` is the digest of the split.
    :param masked_lm: the name of the model that proposed words, and
    :param perplexity: its own on masked tokens of these texts.
    :param candidates: its predictions that were tried for each word.
    :param accuracy: on these texts, a fraction; ``accuracy_after`` of the changed ones, and the interval that holds
        95 % of what comes out when texts are drawn again.
    :param success_rate: the fraction of the texts answered right that fooled it; ``None`` if none was.
    :param changed: the fraction of words changed in a text that fooled it, on average; ``None`` if none did.
    :param median_queries: of an attacked text.
    """

    split: str
    rows: int
    data: str
    masked_lm: str
    perplexity: float
    candidates: int
    accuracy: float
    accuracy_after: float
    interval: tuple[float, float]
    success_rate: float | None
    changed: float | None
    median_queries: float | None


@dataclass(frozen=True)
class ProviderTable:
    """The measurement by which ``device="auto"`` chose, and the conditions under which it holds.

    :param versions: of replank and the runtimes.
    :param threads: threads of one operator.
    :param shapes: batch size and length of each timed batch.
    :param milliseconds: the median at each shape, for each provider that gives the reference's answers.
    :param left_out: the reason for each provider that does not.
    :param choice: the fastest.
    """

    machine: Processor
    versions: dict[str, str]
    threads: int
    shapes: tuple[tuple[int, int], ...]
    milliseconds: dict[str, tuple[float, ...]]
    left_out: dict[str, str]
    choice: str
