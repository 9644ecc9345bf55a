"""torch with each kernel of attention, in fp16 on a GPU, on whole and on padded batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch.nn.attention import SDPBackend, sdpa_kernel

from interleaved import time_in_turn
from replank.models.source import Source
from replank.runtime.load import load_model
from replank.runtime.predictors import Logits, TorchPredictor
from replank.runtime.timing import random_batch
from replank.runtime.torch_devices import torch_device
from replank.runtime.torch_model import load_torch_model
from replank.text.padding import Batch

# A flash kernel takes no mask: transformers leaves out that of a batch without padding.
WAYS: dict[str, tuple[str, SDPBackend | None]] = {
    "eager": ("eager", None),
    "sdpa, torch's choice": ("sdpa", None),
    "sdpa, flash alone": ("sdpa", SDPBackend.FLASH_ATTENTION),
    "sdpa, memory-efficient alone": ("sdpa", SDPBackend.EFFICIENT_ATTENTION),
}


def time_attention(
    sources: Sequence[Source], device: str, shapes: Sequence[tuple[int, int]], *, rounds: int, seconds: float
) -> dict[str, Any]:
    """Each kernel at each depth and shape, beside eager attention of the first depth."""
    place = torch_device(device, sources[0].name)
    ways = {
        f"{source.layers} layers, {way}": _predictor(source, place, *WAYS[way]) for source in sources for way in WAYS
    }
    template = load_model(sources[0])
    cells = []
    for rows, length in shapes:
        whole = random_batch(template, rows, length, seed=0)
        lengths = np.random.default_rng(0).integers(1, length + 1, (rows, 1))
        padded = replace(whole, attention_mask=(np.arange(length) < lengths).astype(np.int64))
        for name, batch in (("none", whole), ("right", padded)):
            here, left_out = _possible(ways, batch)
            timed = time_in_turn(here, rows, rounds=rounds, seconds=seconds)
            cells.append({"batch_size": rows, "length": length, "padding": name, "ways": timed, "left_out": left_out})
    return {"precision": "fp16" if device == "cuda" else "fp32", "cells": cells}


def _possible(
    ways: dict[str, Callable[[Batch], Logits]], batch: Batch
) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """The ways that run a batch, and why the others do not."""
    here: dict[str, Callable[[], object]] = {}
    left_out = {}
    for name, run in ways.items():
        try:
            run(batch)
        except RuntimeError as error:
            left_out[name] = str(error).partition("\n")[0]
        else:
            here[name] = partial(run, batch)
    return here, left_out


def _predictor(source: Source, place: str, attention: str, kernel: SDPBackend | None) -> Callable[[Batch], Logits]:
    """A model whose logits come back to the host, which waits for the device."""
    model = load_torch_model(source, attn_implementation=attention)
    predictor = TorchPredictor(model.half() if place == "cuda" else model, place)
    if kernel is None:
        return predictor

    def run(batch: Batch) -> Logits:
        with sdpa_kernel(kernel):
            return predictor(batch)

    return run
