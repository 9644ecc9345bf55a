"""What was measured on a model: its quality, its distance from its source, and how it stands under attack."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    :param compared_with: the name of the model whose answers stood for labels, where the rows have none.
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
    compared_with: str | None = None
    source_metrics: dict[str, float] | None = None
    drop: float | None = None

    @property
    def cautions(self) -> list[str]:
        """What else a reader of the metrics must know, each in a sentence without its full stop."""
        found = []
        if self.compared_with is not None:
            found.append(f"no labels: the metrics compare its answers with those of {self.compared_with}")
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
