"""What samples say: percentiles and ratios, each with an interval from resampled rounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (50, 90, 95, 99)
CONFIDENCE = 0.95
_RESAMPLES = 500
_RATIO_RESAMPLES = 5000
_TRIMMED = 0.1

Rounds = list[list[float]]


def latency(rounds: Rounds, batch_size: int) -> dict[str, Any]:
    """Percentiles of all samples, each with its interval, and the throughput.

    Whole rounds are drawn again, not samples: neighbours are slow together, and samples alone would seem surer.

    :param rounds: milliseconds.
    """
    every = np.concatenate(rounds)
    draws = _draws(len(rounds), _RESAMPLES)
    again = [np.percentile(np.concatenate([rounds[index] for index in draw]), PERCENTILES) for draw in draws]
    low, high = _interval(np.array(again), CONFIDENCE)
    mean = float(every.mean())
    return {
        **{
            f"p{part}_ms": float(value)
            for part, value in zip(PERCENTILES, np.percentile(every, PERCENTILES), strict=True)
        },
        "mean_ms": mean,
        "intervals_ms": {f"p{part}": [float(a), float(b)] for part, a, b in zip(PERCENTILES, low, high, strict=True)},
        "texts_per_second": 1e3 * batch_size / mean,
    }


def ratio(ours: Rounds, baseline: Rounds, count: int) -> dict[str, Any]:
    """How many times as fast as the baseline: by the medians of each round, in which both met the same machine.

    The geometric mean of the rounds' ratios without the tenth at either end: of the estimators that a stray round does
    not move, the one with the narrowest intervals on a busy machine (a third narrower than the median's).

    :param count: how many ratios are shown together; all their intervals hold at once with 95 % confidence.
    :returns: ``estimate`` and its ``interval``; of the rounds ``median``, ``min``, ``max``, and all as ``rounds``.
    """
    rounds = np.array([np.median(theirs) / np.median(mine) for mine, theirs in zip(ours, baseline, strict=True)])
    logarithms = np.log(rounds)
    low, high = _interval(
        _trimmed_mean(logarithms[_draws(len(rounds), _RATIO_RESAMPLES)]), 1 - (1 - CONFIDENCE) / max(1, count)
    )
    return {
        "estimate": float(np.exp(_trimmed_mean(logarithms[None])[0])),
        "interval": [float(np.exp(low)), float(np.exp(high))],
        "median": float(np.median(rounds)),
        "min": float(rounds.min()),
        "max": float(rounds.max()),
        "rounds": rounds.tolist(),
    }


def half_width(ratio: dict[str, Any]) -> float:
    """How far a ratio's interval reaches from it, as a part of it."""
    (low, high), middle = ratio["interval"], ratio["estimate"]
    return float(max(high - middle, middle - low) / middle)


def _trimmed_mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each row without a tenth of it at either end."""
    cut = int(_TRIMMED * rows.shape[1])
    return np.asarray(np.sort(rows, axis=1)[:, cut : rows.shape[1] - cut].mean(axis=1))


def _draws(rounds: int, times: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, rounds, size=(times, rounds))


def _interval(values: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    part = 100 * (1 - confidence) / 2
    return np.percentile(values, (part, 100 - part), axis=0)
