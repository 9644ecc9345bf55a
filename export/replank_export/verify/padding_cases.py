"""Padding cases: random tokens under every kind of padding that exporters silently get wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from replank.runtime.model import Model
from replank.text.padding import Batch

# Attention's scores of longer texts fill gigabytes: of those there is one.
_LONG = 1024


@dataclass(frozen=True)
class Case:
    """A kind of input, with batches of it."""

    name: str
    batches: Sequence[Batch]


def padding_cases(model: Model, seed: int = 0) -> list[Case]:
    """Batches of random tokens for every kind of padding.

    There are no rows without tokens: the result of a mask of zeros is not defined.
    """
    generator = np.random.default_rng(seed)
    longest = model.source.position_limit

    def batch(rows: int, length: int, mask: Callable[[int], np.ndarray[Any, Any]]) -> Batch:
        return _random_batch(model, generator, rows, length, mask)

    middle = min(24, longest)

    def right(length: int) -> np.ndarray[Any, Any]:
        return np.arange(length) < generator.integers(1, length + 1)

    def left(length: int) -> np.ndarray[Any, Any]:
        return right(length)[::-1]

    def both(length: int) -> np.ndarray[Any, Any]:
        start = generator.integers(0, length)
        return (np.arange(length) >= start) & (np.arange(length) < generator.integers(start + 1, length + 1))

    def holes(length: int) -> np.ndarray[Any, Any]:
        mask = generator.random(length) < 0.6
        mask[generator.integers(0, length)] = True
        return mask

    def full(length: int) -> np.ndarray[Any, Any]:
        return np.ones(length, dtype=bool)

    return [
        Case("right padding", [batch(5, middle, right)]),
        Case("left padding", [batch(5, middle, left)]),
        Case("padding on both sides", [batch(5, middle, both)]),
        Case("holes", [batch(5, middle, holes)]),
        Case("batch of one", [batch(1, middle, full)]),
        Case("length one", [batch(3, 1, full)]),
        Case("maximal length", [batch(2, min(longest, _LONG), right), batch(1, longest, full)]),
    ]


def _random_batch(
    model: Model,
    generator: np.random.Generator,
    rows: int,
    length: int,
    mask_of_row: Callable[[int], np.ndarray[Any, Any]],
) -> Batch:
    config = model.source.config
    pad_id = int(config.get("pad_token_id") or 0)
    mask = np.stack([mask_of_row(length) for _ in range(rows)]).astype(np.int64)
    # Ids above the padding's, which RoBERTa derives positions from; those below are special tokens.
    ids = generator.integers(pad_id + 1, int(config["vocab_size"]), (rows, length))
    # Masked positions hold the padding's id, except in holes, which hide a token.
    outside = np.cumsum(mask, axis=1) * np.cumsum(mask[:, ::-1], axis=1)[:, ::-1] == 0
    token_type_ids = None
    if "token_type_ids" in model.text_encoder.input_names:
        token_type_ids = np.cumsum(generator.random((rows, length)) < 1 / length, axis=1).clip(0, 1).astype(np.int64)
    return Batch(np.where(outside, pad_id, ids), mask, token_type_ids)
