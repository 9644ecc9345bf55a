"""The decision among pairs of scheme and provider that were tried."""

from __future__ import annotations

from collections.abc import Sequence

from replank.models.int8_facts import Int8Trial

# Speeds that differ by less are equal: a benchmark does not know a ratio better.
_EQUAL = 0.05


def fastest(trials: Sequence[Int8Trial]) -> Int8Trial | None:
    """The fastest of the pairs that may be used; among equally fast ones the one with the best metric, then the first.

    A repeated choice would follow the noise otherwise.

    :param trials: in the order of their registries, simple ones first.
    :returns: ``None`` if there is none.
    """
    usable = [trial for trial in trials if trial.why is None and trial.ratio is not None]
    if not usable:
        return None
    best = max(_ratio(trial) for trial in usable)
    equal = [trial for trial in usable if _ratio(trial) >= (1 - _EQUAL) * best]
    return max(equal, key=lambda trial: trial.metric if trial.metric is not None else 0.0)


def _ratio(trial: Int8Trial) -> float:
    return trial.ratio or 0.0
