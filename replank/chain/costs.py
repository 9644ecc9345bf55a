"""Measured costs of finished models: median latency at a budget's shape, and size."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np

from replank.benchmarking.load import OtherLoad
from replank.benchmarking.times import disturbance
from replank.chain.budget import Budget, Cost
from replank.chain.places import place_of
from replank.chain.result_cache import ResultCache
from replank.models.source import Source, open_source
from replank.runtime.load import load_model
from replank.runtime.provider_choice import Auto
from replank.runtime.timing import random_batch, time_calls
from replank.system.environment import processor, versions
from replank.system.progress import progress

_ROUNDS, _SECONDS = 9, 0.1
_log = logging.getLogger(__name__)

Value = TypeVar("Value")
# The median and the 90th percentile of each model, in milliseconds.
Latencies = Sequence[tuple[float, float]]


def measure_costs(
    folders: Sequence[Path], budget: Budget, cache: ResultCache, device: Auto | None = None
) -> dict[str, Cost]:
    """Costs by the folders' names, measured in turn, without retention.

    :param device: ``auto`` for each one's fastest provider; ``None`` for :func:`place_of`.
    """
    sources = [open_source(folder) for folder in folders]
    names = ", ".join(f"{folder.parent.name}/{folder.name}" for folder in folders)
    facts = {"models": [source.digest for source in sources]}
    at = f"{budget.shape}{'' if device is None else f' on {device}'}"
    found = measured(f"costs of {names} at {at}", facts, partial(_measure, sources, budget, device), cache)
    return {name: Cost(**values) for name, values in found.items()}


def measured(
    name: str, facts: Mapping[str, Any], measure: Callable[[], tuple[Value, Latencies]], cache: ResultCache
) -> Value:
    """A measurement on this machine, which is taken again by the next run if the machine was busy.

    :param facts: JSON values that it follows from, beside the machine and the versions.
    :param measure: returns JSON values, and the latencies that tell whether the machine was busy.
    """

    def compute() -> dict[str, Any]:
        load = OtherLoad([])
        values, latencies = measure()
        found = disturbance(load.cores(), processor().cores, latencies)
        if found:
            _log.warning("%s The next run of the same command measures again.", found)
        return {"values": values, "disturbance": found}

    here = {"machine": asdict(processor()), "versions": versions()}
    entry = cache.get(name, here | dict(facts), compute, is_final=lambda entry: entry["disturbance"] is None)
    values: Value = entry["values"]
    return values


def _measure(
    sources: Sequence[Source], budget: Budget, device: Auto | None
) -> tuple[dict[str, dict[str, float | None]], Latencies]:
    models = [load_model(source, device=device or place_of(source)) for source in sources]
    batches = [random_batch(model, budget.batch_size, budget.length, seed=0) for model in models]
    samples: list[list[float]] = [[] for _ in models]
    with progress("measure", _ROUNDS) as advance:
        for _ in range(_ROUNDS):
            for model, batch, taken in zip(models, batches, samples, strict=True):
                run = partial(model.predictor, batch)
                taken += time_calls(run, warmup=1, min_iterations=3, min_seconds=_SECONDS)
            advance()
    costs = {
        source.folder.name: asdict(Cost(p50_ms=median(taken), model_bytes=source.weights.bytes))
        for source, taken in zip(sources, samples, strict=True)
    }
    return costs, [(median(taken), float(np.percentile(taken, 90))) for taken in samples]
