"""Statistics of samples: percentiles and ratios, each with an interval from resampled rounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from replank.benchmarking.result import Interval, Latency, Ratio

PERCENTILES = (50, 90, 95, 99)
CONFIDENCE = 0.95
_RESAMPLES = 500
_RATIO_RESAMPLES = 5000
_TRIMMED = 0.1

Rounds = Sequence[Sequence[float]]


def latency(rounds: Rounds, batch_size: int) -> Latency:
    """Percentiles of all samples with their intervals, and the throughput.

    Whole rounds are resampled, because neighbouring samples are slow together and would give too narrow intervals.

    :param rounds: milliseconds of each run, a list for each round.
    """
    samples = np.concatenate(rounds)
    resampled = [
        np.percentile(np.concatenate([rounds[index] for index in draw]), PERCENTILES)
        for draw in _draws(len(rounds), _RESAMPLES)
    ]
    low, high = _interval(np.array(resampled), CONFIDENCE)
    p50, p90, p95, p99 = map(float, np.percentile(samples, PERCENTILES))
    mean = float(samples.mean())
    return Latency(
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        mean_ms=mean,
        intervals_ms={f"p{part}": (float(a), float(b)) for part, a, b in zip(PERCENTILES, low, high, strict=True)},
        texts_per_second=1e3 * batch_size / mean,
    )


def ratio(ours: Rounds, baseline: Rounds, count: int) -> Ratio:
    """The speed as a multiple of the baseline's, from the medians of each round, in which both met the same machine.

    The geometric mean of the rounds' ratios without the tenth at either end: of the estimators that a stray round does
    not move, the one with the narrowest intervals on a busy machine (a third narrower than the median's).

    :param count: the number of ratios shown together; all their intervals hold at once with 95 % confidence.
    """
    rounds = np.array([np.median(theirs) / np.median(mine) for mine, theirs in zip(ours, baseline, strict=True)])
    logarithms = np.log(rounds)
    resampled = _trimmed_mean(logarithms[_draws(len(rounds), _RATIO_RESAMPLES)])
    low, high = np.exp(_interval(resampled, 1 - (1 - CONFIDENCE) / max(1, count)))
    interval: Interval = (float(low), float(high))
    return Ratio(
        estimate=float(np.exp(_trimmed_mean(logarithms[None])[0])),
        interval=interval,
        median=float(np.median(rounds)),
        min=float(rounds.min()),
        max=float(rounds.max()),
        rounds=tuple(rounds.tolist()),
    )


def _trimmed_mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each row without a tenth of it at either end."""
    cut = int(_TRIMMED * rows.shape[1])
    return np.asarray(np.sort(rows, axis=1)[:, cut : rows.shape[1] - cut].mean(axis=1))


def _draws(rounds: int, times: int) -> NDArray[np.int64]:
    """Indices of rounds, drawn with replacement; shape ``(times, rounds)``."""
    return np.random.default_rng(0).integers(0, rounds, size=(times, rounds))


def _interval(values: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    part = 100 * (1 - confidence) / 2
    return np.percentile(values, (part, 100 - part), axis=0)
