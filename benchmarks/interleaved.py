"""Ways to do the same, timed in turn, so that what else the machine does falls on all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from replank.benchmarking.statistics import latency, ratio
from replank.runtime.timing import time_calls


def time_in_turn(
    ways: Mapping[str, Callable[[], object]], batch_size: int, *, rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """Latency of each way, and its speed as a multiple of the first's.

    :param ways: a call returns when its result is there, on the host.
    :param seconds: of each way in each round.
    """
    names = list(ways)
    samples: dict[str, list[list[float]]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            taken = time_calls(ways[name], warmup=1 if number else 3, min_iterations=3, min_seconds=seconds)
            samples[name].append(taken)
    baseline = samples[names[0]]
    return {
        name: asdict(latency(taken, batch_size))
        | {"ratio": asdict(ratio(taken, baseline, len(names) - 1)), "samples_ms": taken}
        for name, taken in samples.items()
    }
