"""Examples as Trainer takes them: tokenized once, batched with others of like length, padded by the one door."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from transformers.trainer_pt_utils import LengthGroupedSampler

from replank.data import Examples
from replank.text import TextEncoder, Tokens

Row = tuple[Tokens, Any]


class TokenizedExamples(torch.utils.data.Dataset[Row]):
    """A labelled split."""

    def __init__(self, examples: Examples, text_encoder: TextEncoder) -> None:
        self._tokens = text_encoder.tokenize(examples.first, examples.second)
        self._labels = examples.labels

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [len(tokens) for tokens in self._tokens]

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, index: int) -> Row:
        return self._tokens[index], None if self._labels is None else self._labels[index]


class Collator:
    """Rows to a padded batch of tensors."""

    def __init__(self, text_encoder: TextEncoder) -> None:
        self._text_encoder = text_encoder

    def __call__(self, rows: list[Row]) -> dict[str, torch.Tensor]:
        """One batch: the model's inputs, and ``labels`` of shape ``(batch,)``."""
        batch = self._text_encoder.pad([tokens for tokens, _ in rows])
        tensors = {name: torch.from_numpy(value) for name, value in batch.inputs().items()}
        return tensors | {"labels": torch.from_numpy(np.array([label for _, label in rows]))}


class LengthGrouped(LengthGroupedSampler):
    """Random batches of examples of like length: a third less padding on tweets.

    The order is a function of seed and epoch alone. The parent class draws from torch's global generator, and a
    resumed epoch would see other batches than the one that was interrupted.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths)
        self._seed, self._epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Trainer at the start of each epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.generator = torch.Generator().manual_seed(self._seed + self._epoch)
        order: Iterator[int] = super().__iter__()  # type: ignore[no-untyped-call]
        return order
