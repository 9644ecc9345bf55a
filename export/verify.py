"""Numbers side by side: a candidate's logits against its reference's, on texts and on hostile padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from replank.data import Examples
from replank.encoders import position_limit
from replank.errors import QualityGateError
from replank.runtime import Logits, Model
from replank.tasks import Kind
from replank.text import Batch

# Largest absolute logit difference, in units of the largest logit but at least 1. Expected for fp32 is 5e-6.
TOLERANCES = {"fp32": 1e-4}
_REAL_ROWS, _REAL_BATCH = 64, 8


@dataclass(frozen=True)
class Case:
    """One kind of input and the batches of it."""

    name: str
    batches: Sequence[Batch]


@dataclass(frozen=True)
class Difference:
    """How far two models are apart on one case.

    :param max_abs: largest absolute difference of a logit.
    :param mean_abs: mean absolute difference.
    :param scale: the reference's largest absolute logit.
    :param sqnr_db: power of the reference over power of the difference, in decibels; ``None`` if they are equal.
    :param label_agreement: part of the rows with the same label; ``None`` for regression.
    """

    case: str
    rows: int
    max_abs: float
    mean_abs: float
    scale: float
    sqnr_db: float | None
    label_agreement: float | None

    def within(self, tolerance: float) -> bool:
        """Whether the largest difference is inside; not a number never is."""
        return bool(self.max_abs <= tolerance * max(1.0, self.scale))


@dataclass(frozen=True)
class Verification:
    """All differences of a candidate from its reference.

    :param tolerance: the bound on ``max_abs``; ``None`` where the task metric judges (INT8).
    """

    reference: str
    tolerance: float | None
    differences: tuple[Difference, ...]

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
        cases.append(_real_case(reference, examples.head(_REAL_ROWS)))
    differences = []
    for case in cases:
        pairs = [(reference.predictor(batch), candidate.predictor(batch)) for batch in case.batches]
        ours, theirs = (np.concatenate(side) for side in zip(*pairs, strict=True))
        differences.append(difference(case.name, ours, theirs, reference.task.kind))
        if progress:
            progress(1)
    tolerance = TOLERANCES.get(precision)
    return Verification(reference.source.name, tolerance, tuple(differences))


def difference(case: str, reference: Logits, candidate: Logits, kind: Kind) -> Difference:
    """Compare two sets of logits of the same shape ``(rows, outputs)``."""
    error = candidate.astype(np.float64) - reference
    noise = float((error**2).sum())
    agreement = None
    if kind == "classification":
        agreement = float((reference.argmax(axis=1) == candidate.argmax(axis=1)).mean())
    return Difference(
        case=case,
        rows=len(reference),
        max_abs=float(np.abs(error).max()),
        mean_abs=float(np.abs(error).mean()),
        scale=float(np.abs(reference).max()),
        sqnr_db=round(10 * float(np.log10((reference.astype(np.float64) ** 2).sum() / noise)), 2) if noise else None,
        label_agreement=agreement,
    )


def hostile_cases(model: Model, seed: int = 0) -> list[Case]:
    """Random tokens under every kind of padding that other exporters get wrong.

    Rows without any token are left out: what a mask of zeros means is nowhere defined.
    """
    generator = np.random.default_rng(seed)
    config = model.source.config
    longest = position_limit(config, model.source.name)

    def batch(rows: int, length: int, mask: Callable[[int], np.ndarray[Any, Any]]) -> Batch:
        return _random_batch(model, generator, rows, length, mask)

    middle = min(24, longest)

    def right(length: int) -> np.ndarray[Any, Any]:
        return np.arange(length) < generator.integers(1, length + 1)

    def left(length: int) -> np.ndarray[Any, Any]:
        return right(length)[::-1]

    def both(length: int) -> np.ndarray[Any, Any]:
        start = generator.integers(0, length)
        return (np.arange(length) >= start) & (np.arange(length) < generator.integers(start + 1, length + 1))

    def holes(length: int) -> np.ndarray[Any, Any]:
        mask = generator.random(length) < 0.6
        mask[generator.integers(0, length)] = True
        return mask

    def full(length: int) -> np.ndarray[Any, Any]:
        return np.ones(length, dtype=bool)

    return [
        Case("right padding", [batch(5, middle, right)]),
        Case("left padding", [batch(5, middle, left)]),
        Case("padding on both sides", [batch(5, middle, both)]),
        Case("holes", [batch(5, middle, holes)]),
        Case("batch of one", [batch(1, middle, full)]),
        Case("length one", [batch(3, 1, full)]),
        Case("maximal length", [batch(2, longest, right), batch(1, longest, full)]),
    ]


def _random_batch(
    model: Model,
    generator: np.random.Generator,
    rows: int,
    length: int,
    mask_of_row: Callable[[int], np.ndarray[Any, Any]],
) -> Batch:
    config = model.source.config
    pad_id = int(config.get("pad_token_id") or 0)
    mask = np.stack([mask_of_row(length) for _ in range(rows)]).astype(np.int64)
    # Above the padding's id, which RoBERTa counts positions by; below it lie special tokens at most.
    ids = generator.integers(pad_id + 1, int(config["vocab_size"]), (rows, length))
    # Padding holds the padding's id, but in holes, where a real token is hidden.
    outside = np.cumsum(mask, axis=1) * np.cumsum(mask[:, ::-1], axis=1)[:, ::-1] == 0
    segments = None
    if "token_type_ids" in model.text_encoder.input_names:
        segments = np.cumsum(generator.random((rows, length)) < 1 / length, axis=1).clip(0, 1).astype(np.int64)
    return Batch(np.where(outside, pad_id, ids), mask, segments)


def _real_case(model: Model, examples: Examples) -> Case:
    tokens = model.text_encoder.tokenize(examples.first, examples.second)
    batches = [
        model.text_encoder.pad(tokens[start : start + _REAL_BATCH]) for start in range(0, len(tokens), _REAL_BATCH)
    ]
    return Case("real texts", batches)
