"""Robustness as a gate: what a model under attack may lose against another one, and what its artifact keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from replank.models.artifact import record_robustness
from replank.models.provenance import config_json
from replank.models.quality import Robustness
from replank.models.source import Source
from replank.robustness.config import AttackConfig
from replank.robustness.measures import loss_of_accuracy_after
from replank.robustness.result import AttackResult, VictimResult
from replank.system.errors import FieldError, QualityGateError


@dataclass(frozen=True)
class AttackPlan:
    """An attack at the end of a chain.

    :param masked_lm: folder or hub name.
    :param max_drop: loss of accuracy under attack that is allowed against the first model; ``None`` allows all.
    :raises FieldError: it is no difference of accuracies.
    """

    config: AttackConfig
    masked_lm: str | Path
    max_drop: float | None = None

    def __post_init__(self) -> None:
        if self.max_drop is not None and not -1 <= self.max_drop <= 1:
            raise FieldError("max_robustness_drop", self.max_drop, "a difference of accuracies, -1 to 1")


def require_robustness(result: AttackResult, max_drop: float) -> None:
    """Refuse a model that loses more accuracy under attack than is allowed.

    :param max_drop: a fraction: accuracy after the attack of the first model, less that of each other.
    :raises QualityGateError: with both accuracies, and the interval of their difference.
    """
    first, *others = result.victims
    for other in others:
        loss = loss_of_accuracy_after(first.texts, other.texts)
        if loss.value > max_drop:
            before, after = (victim.measures.accuracy_after.value for victim in (first, other))
            raise QualityGateError(
                f"under attack {other.model} has accuracy {after:.4f} and {first.model} {before:.4f}, "
                f"{100 * loss.value:.1f} points more (95 % interval {100 * loss.low:.1f} to {100 * loss.high:.1f}); "
                f"`max_robustness_drop` allows {100 * max_drop:g}"
            )


def record(result: AttackResult, victims: Sequence[Source]) -> None:
    """Write what came out into the manifests and model cards of those victims that are artifacts."""
    for victim, found in zip(victims, result.victims, strict=True):
        if victim.artifact is not None and victim.artifact.manifest.robustness != (facts := _facts(result, found)):
            record_robustness(victim.artifact, facts)


def is_of(result: AttackResult, victims: Sequence[Source], masked_lm: Source, config: AttackConfig, data: str) -> bool:
    """Whether a result is of these models, texts and settings.

    :param data: the digest of the split.
    """
    same_models = [victim.digest for victim in result.victims] == [victim.digest for victim in victims]
    same_settings = result.config == json.loads(json.dumps(config_json(config)))
    return same_models and same_settings and (result.masked_lm.digest, result.data) == (masked_lm.digest, data)


def _facts(result: AttackResult, victim: VictimResult) -> Robustness:
    measures = victim.measures
    after, success = measures.accuracy_after, measures.success_rate
    return Robustness(
        split=result.split,
        rows=measures.rows,
        data=result.data,
        masked_lm=result.masked_lm.model,
        perplexity=result.masked_lm.perplexity,
        candidates=int(result.config["candidates"]),
        accuracy=measures.accuracy_before.value,
        accuracy_after=after.value,
        interval=(after.low, after.high),
        success_rate=None if success is None else success.value,
        changed=measures.changed,
        median_queries=measures.median_queries,
    )
