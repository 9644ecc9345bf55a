"""A server that loads models from this machine, and models that are told apart by their answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from app_client import CONFIG
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank_serve.engine.engine import Engine
from replank_serve.engine.limits import EngineLimits

# Where the application takes its client for one of this machine.
LOCAL = "http://localhost"


def load(folder: Path) -> Model:
    return load_model(open_source(folder), threads=1)


LOADING = replace(CONFIG, loader=load, model_root=Path("/"))


def constant(model: Model, positive: float) -> Model:
    """A model that is sure of the same answer whatever it is asked."""
    row = np.array([-positive, positive], dtype=np.float32)
    return replace(model, predictor=lambda batch: np.tile(row, (batch.shape[0], 1)))


def new_engine(_: str, model: Model) -> Engine:
    return Engine(model, EngineLimits(max_batch=4, max_batch_tokens=512, max_queue_tokens=512))
