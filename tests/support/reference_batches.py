"""Batches for models that attend to references, and the same with all of these masked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from replank.models.source import open_source
from replank.text.padding import Batch, References
from tiny import sentences

TEXTS = [text for text, _ in sentences(16, 9)]
WIDTH = 32


def batch_of(folder: Path) -> Batch:
    """The texts as a model reads them, without references."""
    source = open_source(folder)
    encoder = source.text_encoder(source.task)
    return encoder.pad(encoder.tokenize(TEXTS))


def masked(batch: Batch) -> Batch:
    """A batch with references of large numbers, none of them to be seen."""
    rows = len(batch.input_ids)
    states = np.full((2, rows, 3, WIDTH), 7, dtype=np.float32)
    return replace(batch, references=References(states[0], states[1], np.zeros((rows, 3), dtype=np.int64)))
