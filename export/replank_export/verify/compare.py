"""Verification of a candidate: its logits compared with its reference's, on padding cases and on real texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from replank.data.examples import Examples
from replank.models.quality import Difference, Differences
from replank.runtime.model import Model
from replank.runtime.predictors import Logits
from replank.system.errors import QualityGateError
from replank.tasks.task import Task
from replank.text.padding import Batch
from replank_export.verify.padding_cases import Case, padding_cases

# The largest allowed difference of a logit, relative to the largest logit, or to 1 if that is smaller. Typical are 5e-6
# for fp32 and 5e-4 for fp16. A label can change only where two logits are closer than twice the difference.
TOLERANCES = {"fp32": 1e-4, "fp16": 5e-3}
_REAL_ROWS, _REAL_BATCH = 64, 8
# The number of padding cases.
CASES = 7


@dataclass(frozen=True)
class WorstExample:
    """The real text with the largest difference.

    :param texts: a single text or a pair.
    :param reference: logits of the reference, at the token with the largest difference if the model answers per token.
    :param candidate: logits of the candidate at the same place.
    """

    texts: tuple[str, ...]
    reference: list[float]
    candidate: list[float]


@dataclass(frozen=True)
class Verification:
    """A candidate compared with its reference.

    :param reference: name of the reference.
    :param differences: as the manifest stores them.
    :param worst: text with the largest difference; ``None`` without real texts. Not stored: it is the user's data.
    """

    reference: str
    differences: Differences
    worst: WorstExample | None = None

    def require(self) -> None:
        """Require every case to be within the tolerance.

        :raises QualityGateError: a case is not; the message names the worst.
        """
        if failures := self.differences.failures:
            worst = max(failures, key=lambda item: np.nan_to_num(item.max_abs, nan=np.inf))
            raise QualityGateError(
                f"the logits differ from those of {self.reference} by {worst.max_abs:.2e} on the case {worst.case!r}; "
                f"the tolerance is {self.differences.tolerance}",
            )


def verify(
    reference: Model,
    candidate: Model,
    *,
    precision: str,
    examples: Examples | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """The verification of a candidate against its reference, on the same batches.

    :param precision: precision of the candidate, which decides the tolerance.
    :param examples: real texts, of which the first 64 are used; without them only random tokens are compared.
    :param progress: callback, called with 1 after each case.
    """
    cases = padding_cases(reference)
    if examples is not None:
        examples = examples.head(_REAL_ROWS)
        cases.append(Case("real texts", real_batches(reference, examples)))
    differences, worst = [], None
    for case in cases:
        ours, theirs = (
            [row for batch in case.batches for row in answers(model, batch)] for model in (reference, candidate)
        )
        differences.append(difference(case.name, np.concatenate(ours), np.concatenate(theirs), reference.task))
        if examples is not None and case is cases[-1]:
            worst = _worst(examples, ours, theirs)
        if progress:
            progress(1)
    largest = max(item.max_abs for item in differences)
    found = Differences(tolerance=TOLERANCES.get(precision), max_abs=largest, cases=tuple(differences))
    return Verification(reference.source.name, found, worst)


def difference(case: str, reference: Logits, candidate: Logits, task: Task) -> Difference:
    """The difference of two arrays of logits of the same shape ``(rows, outputs)``."""
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
        label_agreement=task.agreement(reference, candidate),
    )


def answers(model: Model, batch: Batch) -> list[Logits]:
    """The logits of each text in a batch: ``(1, outputs)``, or ``(tokens, outputs)`` if the model answers per token."""
    logits = model.predictor(batch)
    if logits.ndim == 2:
        return [row[None] for row in logits]
    # Logits at padding positions are left out.
    return [row[mask] for row, mask in zip(logits, batch.attention_mask.astype(bool), strict=True)]


def _worst(examples: Examples, ours: Sequence[Logits], theirs: Sequence[Logits]) -> WorstExample:
    errors = [np.abs(a.astype(np.float64) - b).max(axis=1) for a, b in zip(ours, theirs, strict=True)]
    index = int(np.argmax([error.max() for error in errors]))
    row = int(errors[index].argmax())
    texts = (examples.first[index], *([examples.second[index]] if examples.second else []))
    return WorstExample(texts, ours[index][row].tolist(), theirs[index][row].tolist())


def real_batches(model: Model, examples: Examples) -> list[Batch]:
    """The texts in their order, padded in small batches."""
    # Vectors are of each text by itself, whatever they are compared with.
    tokens = model.text_encoder.tokenize(examples.first, None if model.task.gives_vectors else examples.second)
    return [model.text_encoder.pad(tokens[start : start + _REAL_BATCH]) for start in range(0, len(tokens), _REAL_BATCH)]
