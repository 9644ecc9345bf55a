"""Execution providers: whether one runs here, and a stand-in for one that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fake_clock import FakeClock
from replank.runtime.model import Model
from replank.runtime.predictors import Logits
from replank.runtime.providers import Device
from replank.runtime.session import start
from replank.system.errors import ReplankError
from replank.text.padding import Batch

# The clock of what measures: a model takes as long as it is said to, and no time besides.
CLOCK = FakeClock()
Change = Callable[[Logits], Logits]


def why_not(device: Device) -> str:
    """Why a provider does not run here; empty where it does."""
    try:
        start(device)
    except ReplankError as error:
        return error.message
    return ""


def elsewhere(model: Model, device: Device, change: Change = lambda logits: logits, seconds: float = 0.001) -> Model:
    """The model as another provider might run it: slower, or with other answers."""

    def run(batch: Batch) -> Logits:
        CLOCK.sleep(seconds)
        return change(model.predictor(batch))

    return replace(model, predictor=run, device=device)
