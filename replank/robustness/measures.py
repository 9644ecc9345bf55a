"""What the attacked texts of a model come to, with intervals over texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replank.resampling.estimate import Difference, Estimate, interval
from replank.robustness.texts import AttackedText

_RESAMPLES, _SEED = 2000, 0


@dataclass(frozen=True, kw_only=True)
class Share:
    """A fraction of texts.

    :param low: the lower end of the interval that holds 95 % of what comes out when texts are drawn again; ``high`` is
        the upper.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, estimate: Estimate) -> Share:
        """The fraction that an estimate is."""
        low, high = interval(estimate)
        return cls(value=estimate.value, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What an attack came to.

    :param success_rate: the fooled ones of the texts that were answered right; ``None`` if none was.
    :param changed: the fraction of a text's words that was replaced, averaged over the texts that fooled it.
    :param changed_words: the fraction of all words of these texts.
    :param changed_as_released: as the released code prints it: texts that were answered wrong before count among them,
        with nothing changed.
    :param median_queries: of the texts that were attacked, fooled or not.
    :param queries_as_released: the mean that the released code prints, over the same texts as its changes.
    :param similarity: the mean of the texts that fooled it; ``None`` without a similarity model.
    :param without_words: texts that were answered right and have no word that may be replaced: they count as held.
    """

    rows: int
    accuracy_before: Share
    accuracy_after: Share
    success_rate: Share | None
    changed: float | None
    changed_words: float | None
    changed_as_released: float | None
    median_queries: float | None
    queries_as_released: float | None
    similarity: float | None
    without_words: int


def measures_of(texts: Sequence[AttackedText]) -> Measures:
    """The measures of one or more texts."""
    fooled = [text for text in texts if text.outcome == "fooled"]
    attacked = [text for text in texts if text.outcome in ("fooled", "held")]
    counted = [text for text in texts if text.outcome in ("fooled", "wrong")]
    ratios = [len(text.changes) / text.words for text in fooled]
    similarities = [text.similarity for text in fooled if text.similarity is not None]
    found = _Shares(texts)
    return Measures(
        rows=len(texts),
        accuracy_before=Share.of(found.before),
        accuracy_after=Share.of(found.after),
        success_rate=Share.of(found.success) if any(text.outcome != "wrong" for text in texts) else None,
        changed=float(np.mean(ratios)) if fooled else None,
        changed_words=sum(len(text.changes) for text in fooled) / sum(text.words for text in fooled)
        if fooled
        else None,
        changed_as_released=sum(ratios) / len(counted) if counted else None,
        median_queries=float(np.median([text.queries for text in attacked])) if attacked else None,
        queries_as_released=sum(text.queries for text in fooled) / len(counted) if counted else None,
        similarity=float(np.mean(similarities)) if similarities else None,
        without_words=sum(text.outcome == "no-words" for text in texts),
    )


def loss_of_accuracy_after(texts: Sequence[AttackedText], others: Sequence[AttackedText]) -> Difference:
    """The accuracy after the attack of one model minus another's, on the same texts, drawn again together.

    :param texts: of the one; ``others`` of the other, in the same order.
    """
    return Difference.of(_Shares(texts).after - _Shares(others).after)


class _Shares:
    """Fractions of texts, as measured and of resamples; the same draws for every model."""

    def __init__(self, texts: Sequence[AttackedText]) -> None:
        right = np.array([text.outcome != "wrong" for text in texts], dtype=np.float64)
        holds = np.array([text.outcome in ("held", "no-words") for text in texts], dtype=np.float64)
        weights = _draws(len(texts))
        self.before = _mean(right, weights)
        self.after = _mean(holds, weights)
        # A draw without any right answer tells nothing; there it is as measured.
        rights = np.where(weights @ right > 0, weights @ right, np.nan)
        value = float((right - holds).sum() / right.sum()) if right.any() else float("nan")
        self.success = Estimate(value, np.nan_to_num((weights @ (right - holds)) / rights, nan=value))


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> Estimate:
    return Estimate(float(values.mean()), weights @ values / len(values))


def _draws(rows: int) -> NDArray[np.float64]:
    """How often each text is drawn in each resample, shape ``(resamples, rows)``."""
    generator = np.random.default_rng([_SEED, rows])
    return generator.multinomial(rows, np.full(rows, 1 / rows), size=_RESAMPLES).astype(np.float64)
