"""Tokenized examples to padded batches: the only place that decides how examples are padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.text.tokens import Tokens

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")
REFERENCE_NAMES = ("reference_keys", "reference_values", "reference_mask")

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class References:
    """What the first layer attends to beside each text of a batch.

    :param keys: shape ``(batch, tokens, width)``; ``values`` likewise.
    :param mask: 1 for a token, 0 for padding; shape ``(batch, tokens)``.
    """

    keys: NDArray[np.float32]
    values: NDArray[np.float32]
    mask: Ids

    def inputs(self) -> dict[str, NDArray[Any]]:
        """The arrays under the names of the model's inputs."""
        return dict(zip(REFERENCE_NAMES, (self.keys, self.values, self.mask), strict=True))


@dataclass(frozen=True)
class Batch:
    """Padded token ids, all of shape ``(batch, length)`` and type int64.

    :param attention_mask: 1 for a token, 0 for padding, which may be anywhere.
    :param token_type_ids: 0 for the first text and 1 for the second; ``None`` if the model has no such input.
    :param references: ``None`` if the model attends to the text alone.
    """

    input_ids: Ids
    attention_mask: Ids
    token_type_ids: Ids | None = None
    references: References | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """``(batch, length)``."""
        rows, length = self.input_ids.shape
        return rows, length

    def inputs(self) -> dict[str, NDArray[Any]]:
        """The arrays under the names of the model's inputs."""
        own = {name: value for name in INPUT_NAMES if (value := getattr(self, name)) is not None}
        return own if self.references is None else own | self.references.inputs()


def pad(examples: Sequence[Tokens], *, pad_id: int, token_type_ids: bool) -> Batch:
    """One batch, padded on the right to its longest example.

    :param token_type_ids: whether the batch has them.
    """
    shape = (len(examples), max(map(len, examples)))
    input_ids = np.full(shape, pad_id, dtype=np.int64)
    attention_mask = np.zeros(shape, dtype=np.int64)
    type_ids = np.zeros(shape, dtype=np.int64)
    for row, example in enumerate(examples):
        input_ids[row, : len(example)] = example.ids
        attention_mask[row, : len(example)] = 1
        type_ids[row, : len(example)] = example.type_ids
    return Batch(input_ids, attention_mask, type_ids if token_type_ids else None)
