"""Measured costs of finished models: median latency at a budget's shape, and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median

from replank.chain.budget import Budget, Cost
from replank.chain.result_cache import ResultCache
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.timing import random_batch, time_calls
from replank.system.environment import processor
from replank.system.progress import progress

_ROUNDS, _SECONDS = 9, 0.1


def measure_costs(folders: Sequence[Path], budget: Budget, cache: ResultCache) -> dict[str, Cost]:
    """Costs by the folders' names, measured in turn, without retention."""

    def measured() -> dict[str, dict[str, float | None]]:
        return {name: asdict(cost) for name, cost in _measure(folders, budget).items()}

    names = ", ".join(f"{folder.parent.name}/{folder.name}" for folder in folders)
    found = cache.get(f"costs of {names} at {budget.shape} on {this_machine()}", measured)
    return {name: Cost(**values) for name, values in found.items()}


def this_machine() -> str:
    """The machine for which costs are cached."""
    return str(processor())


def _measure(folders: Sequence[Path], budget: Budget) -> dict[str, Cost]:
    models = [load_model(open_source(folder)) for folder in folders]
    batches = [random_batch(model, budget.batch_size, budget.length, seed=0) for model in models]
    samples: list[list[float]] = [[] for _ in models]
    with progress("measure", _ROUNDS) as advance:
        for _ in range(_ROUNDS):
            for model, batch, taken in zip(models, batches, samples, strict=True):
                run = partial(model.predictor, batch)
                taken += time_calls(run, warmup=1, min_iterations=3, min_seconds=_SECONDS)
            advance()
    return {
        folder.name: Cost(p50_ms=median(taken), model_bytes=model.source.weights.bytes)
        for folder, model, taken in zip(folders, models, samples, strict=True)
    }
