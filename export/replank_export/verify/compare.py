"""Numbers side by side: a candidate's logits against its reference's, on texts and on hostile padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from replank.data.examples import Examples
from replank.runtime.model import Model
from replank.runtime.predictors import Logits
from replank.system.errors import QualityGateError
from replank.tasks.kinds import Kind
from replank.text.padding import Batch
from replank_export.verify.padding_cases import Case, hostile_cases

# Largest absolute logit difference, in units of the largest logit but at least 1. Expected are 5e-6 for fp32, 5e-4 for
# fp16. A label can change only where two logits are nearer to each other than twice that.
TOLERANCES = {"fp32": 1e-4, "fp16": 5e-3}
_REAL_ROWS, _REAL_BATCH = 64, 8
# Kinds of padding that are compared, beside real texts.
CASES = 7


@dataclass(frozen=True)
class Difference:
    """How far two models are apart on one case.

    :param rows: answers compared: texts, or tokens where each token is asked.
    :param max_abs: largest absolute difference of a logit.
    :param mean_abs: mean absolute difference.
    :param scale: the reference's largest absolute logit.
    :param cosine: of all logits of the one and of the other, 1 where they point the same way.
    :param sqnr_db: power of the reference over power of the difference, in decibels; ``None`` if they are equal.
    :param label_agreement: part of the rows with the same label; ``None`` where there are no labels.
    """

    case: str
    rows: int
    max_abs: float
    mean_abs: float
    scale: float
    cosine: float
    sqnr_db: float | None
    label_agreement: float | None

    def within(self, tolerance: float) -> bool:
        """Whether the largest difference is inside; not a number never is."""
        return bool(self.max_abs <= tolerance * max(1.0, self.scale))


@dataclass(frozen=True)
class WorstExample:
    """The real text whose answers are farthest apart.

    :param texts: one, or a pair.
    :param reference: its logits; of the token that is farthest apart where each token is asked.
    :param candidate: the candidate's.
    """

    texts: tuple[str, ...]
    reference: list[float]
    candidate: list[float]


@dataclass(frozen=True)
class Verification:
    """All differences of a candidate from its reference.

    :param tolerance: the bound on ``max_abs``; ``None`` where the task metric judges (INT8).
    :param worst: ``None`` where no real texts were compared. It is shown and not stored: it is the user's data.
    """

    reference: str
    tolerance: float | None
    differences: tuple[Difference, ...]
    worst: WorstExample | None = None

    @property
    def failures(self) -> list[Difference]:
        """The cases outside the tolerance; without one, those whose numbers are not finite."""
        bound = np.inf if self.tolerance is None else self.tolerance
        return [item for item in self.differences if not (np.isfinite(item.max_abs) and item.within(bound))]

    def to_json(self) -> dict[str, Any]:
        """As the manifest stores it."""
        return {
            "tolerance": self.tolerance,
            "max_abs": max(item.max_abs for item in self.differences),
            "cases": [asdict(item) for item in self.differences],
        }

    def require(self) -> None:
        """Raise if a case is outside.

        :raises QualityGateError: the message names the worst case.
        """
        if self.failures:
            worst = max(self.failures, key=lambda item: np.nan_to_num(item.max_abs, nan=np.inf))
            raise QualityGateError(
                f"the logits differ from those of {self.reference} by {worst.max_abs:.2e} on the case {worst.case!r}; "
                f"the tolerance is {self.tolerance}",
            )


def verify(
    reference: Model,
    candidate: Model,
    *,
    precision: str,
    examples: Examples | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Run both on the same batches.

    :param precision: the candidate's, which sets the tolerance.
    :param examples: real texts; the first 64 are used. Without them only random tokens are compared.
    :param progress: called with 1 after each case.
    """
    cases = hostile_cases(reference)
    if examples is not None:
        examples = examples.head(_REAL_ROWS)
        cases.append(Case("real texts", real_batches(reference, examples)))
    kind = reference.task.kind
    differences, worst = [], None
    for case in cases:
        ours, theirs = (
            [row for batch in case.batches for row in answers(model, batch)] for model in (reference, candidate)
        )
        differences.append(difference(case.name, np.concatenate(ours), np.concatenate(theirs), kind))
        if examples is not None and case is cases[-1]:
            worst = _worst(examples, ours, theirs)
        if progress:
            progress(1)
    return Verification(reference.source.name, TOLERANCES.get(precision), tuple(differences), worst)


def difference(case: str, reference: Logits, candidate: Logits, kind: Kind) -> Difference:
    """Compare two sets of logits of the same shape ``(rows, outputs)``."""
    ours, theirs = reference.astype(np.float64), candidate.astype(np.float64)
    error = theirs - ours
    noise, power = float((error**2).sum()), float((ours**2).sum())
    length = np.sqrt(power * float((theirs**2).sum()))
    return Difference(
        case=case,
        rows=len(reference),
        max_abs=float(np.abs(error).max()),
        mean_abs=float(np.abs(error).mean()),
        scale=float(np.abs(reference).max()),
        cosine=float((ours * theirs).sum() / length) if length else 1.0,
        sqnr_db=round(10 * float(np.log10(power / noise)), 2) if noise else None,
        label_agreement=kind.agreement(reference, candidate),
    )


def answers(model: Model, batch: Batch) -> list[Logits]:
    """The logits of each text of a batch: ``(1, outputs)``, or ``(tokens, outputs)`` where each token is asked."""
    logits = model.predictor(batch)
    if logits.ndim == 2:
        return [row[None] for row in logits]
    # What stands at the padding is nobody's answer.
    return [row[mask] for row, mask in zip(logits, batch.attention_mask.astype(bool), strict=True)]


def _worst(examples: Examples, ours: Sequence[Logits], theirs: Sequence[Logits]) -> WorstExample:
    errors = [np.abs(a.astype(np.float64) - b).max(axis=1) for a, b in zip(ours, theirs, strict=True)]
    index = int(np.argmax([error.max() for error in errors]))
    row = int(errors[index].argmax())
    texts = (examples.first[index], *([examples.second[index]] if examples.second else []))
    return WorstExample(texts, ours[index][row].tolist(), theirs[index][row].tolist())


def real_batches(model: Model, examples: Examples) -> list[Batch]:
    """Texts as they come, padded in small batches."""
    tokens = model.text_encoder.tokenize(examples.first, examples.second)
    return [model.text_encoder.pad(tokens[start : start + _REAL_BATCH]) for start in range(0, len(tokens), _REAL_BATCH)]
