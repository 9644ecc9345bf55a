"""Measurement of one model on several execution providers: speed, and agreement with the reference."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.runtime.model import Model
from replank.runtime.providers import Device
from replank.runtime.timing import random_batch, time_calls
from replank.system.errors import ModelError
from replank.tasks.task import Task

REFERENCE: Device = "cpu"
_BATCH, _SHORT, _LONG = 8, 16, 64
_ROUNDS = 3
_SECONDS = 0.1  # per provider, shape and round
# Threads spin for some milliseconds after a run, at the expense of the next.
_PAUSE_SECONDS = 0.05
# Enough to resolve a thousandth.
_ANSWERS, _ANSWERS_AT_ONCE, _ANSWER_TOKENS = 1024, 32, 8
_MAX_DISAGREEMENT = 0.001


@dataclass(frozen=True)
class Measurement:
    """Latency of a model on each provider.

    :param shapes: batch size and length of each timed batch.
    :param milliseconds: the median at each shape, for each provider that gives the reference's answers.
    :param left_out: the reason for each provider that does not.
    """

    shapes: tuple[tuple[int, int], ...]
    milliseconds: dict[Device, tuple[float, ...]]
    left_out: dict[Device, str]

    @property
    def means(self) -> dict[Device, float]:
        """The geometric mean of each provider over all shapes, in which short texts count as much as long ones."""
        return {device: float(np.exp(np.log(values).mean())) for device, values in self.milliseconds.items()}

    @property
    def choice(self) -> Device:
        """The fastest provider."""
        return min(self.means, key=self.means.__getitem__)


def measure_providers(models: Mapping[Device, Model]) -> Measurement:
    """Time a model on several providers in turn, except those whose answers differ from the reference's.

    :param models: the model on each provider; ``cpu`` is the reference and must be among them.
    """
    reference = models[REFERENCE]
    left_out = objections(models)
    models = {device: model for device, model in models.items() if device not in left_out}
    shapes = _shapes(reference.text_encoder.max_length)
    milliseconds: dict[Device, list[float]] = {device: [] for device in models}
    for shape in shapes:
        samples: dict[Device, list[float]] = {device: [] for device in models}
        batch = random_batch(reference, *shape, seed=0)
        for _ in range(_ROUNDS):
            for device, model in models.items():
                time.sleep(_PAUSE_SECONDS)
                run = partial(model.predictor, batch)
                samples[device] += time_calls(run, warmup=1, min_iterations=1, min_seconds=_SECONDS)
        for device, values in samples.items():
            milliseconds[device].append(round(float(np.median(values)), 3))
    return Measurement(shapes, {device: tuple(values) for device, values in milliseconds.items()}, left_out)


def objections(models: Mapping[Device, Model]) -> dict[Device, str]:
    """The reason for each provider to leave it out: its answers to random tokens differ from the reference's.

    :param models: see :func:`measure_providers`.
    """
    reference = models[REFERENCE]
    expected = _answers(reference)
    return {
        device: reason
        for device, model in models.items()
        if model is not reference and (reason := _objection(reference.task, expected, model))
    }


def _shapes(longest: int) -> tuple[tuple[int, int], ...]:
    """One text, short and of maximal length; and a batch, but not of maximal length, which takes seconds."""
    shapes = {(1, min(_SHORT, longest)), (1, longest), (_BATCH, min(_SHORT, longest)), (_BATCH, min(_LONG, longest))}
    return tuple(sorted(shapes))


def _objection(task: Task, expected: NDArray[Any], model: Model) -> str | None:
    """The reason to leave a provider out: its answers differ from the expected ones; ``None`` if they do not."""
    try:
        found = _answers(model)
    except ModelError as error:
        return error.message
    distance, what = task.kind.disagreement(expected, found)
    if distance <= _MAX_DISAGREEMENT:
        return None
    return f"its answers differ from those of {REFERENCE} by {distance:.2%} {what}"


def _answers(model: Model) -> NDArray[Any]:
    """Answers to random tokens with padding on the right.

    :returns: shape ``(rows,)``, or ``(rows, length)`` for tasks per token.
    """
    generator = np.random.default_rng(0)
    length = min(_ANSWER_TOKENS, model.text_encoder.max_length)
    answers = []
    for seed in range(_ANSWERS // _ANSWERS_AT_ONCE):
        batch = random_batch(model, _ANSWERS_AT_ONCE, length, seed)
        mask = np.arange(length) < generator.integers(1, length + 1, (_ANSWERS_AT_ONCE, 1))
        logits = model.predictor(replace(batch, attention_mask=mask.astype(np.int64)))
        answers.append(model.task.decide(logits))
    return np.concatenate(answers)
