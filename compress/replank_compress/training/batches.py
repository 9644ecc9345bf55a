"""Batches for Trainer: examples of similar length together, padded to the longest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from replank.data.training_examples import EpochRow
from replank.tasks.kinds.kind import IGNORED
from replank.text.tokenization import TextEncoder, Tokens
from replank_compress.training.internals import LengthGroupedSampler


class Collator:
    """Examples to a padded batch of tensors."""

    def __init__(self, text_encoder: TextEncoder) -> None:
        self._text_encoder = text_encoder

    def __call__(self, rows: list[tuple[Tokens, Any]]) -> dict[str, torch.Tensor]:
        """One batch: the model's inputs, and ``labels``, shape ``(batch,)`` or, for each token, ``(batch, length)``."""
        batch = self._text_encoder.pad([tokens for tokens, _ in rows])
        tensors = {name: torch.from_numpy(value) for name, value in batch.inputs().items()}
        targets = [target for _, target in rows]
        labels = _pad(targets, batch.shape) if np.ndim(targets[0]) else np.array(targets)
        return tensors | {"labels": torch.from_numpy(labels)}


def _pad(targets: list[Any], shape: tuple[int, int]) -> NDArray[np.int64]:
    labels = np.full(shape, IGNORED, dtype=np.int64)
    for row, target in zip(labels, targets, strict=True):
        row[: len(target)] = target
    return labels


class LengthGrouped(Sampler[EpochRow]):
    """Random batches of examples of similar length, which need a third less padding on tweets.

    The order is a function of seed and epoch alone, so that a resumed epoch sees the batches of the interrupted one.

    :param batch_size: examples of one optimizer step.
    :param lengths: tokens of each example.
    :param epoch: called at the start of each pass. (``set_epoch`` does not reach a sampler that a resumed or a
        distributed training has wrapped.)
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int, epoch: Callable[[], int]) -> None:
        self._batch_size, self._lengths, self._seed, self._epoch = batch_size, lengths, seed, epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[EpochRow]:
        epoch = self._epoch()
        generator = torch.Generator().manual_seed(self._seed + epoch)
        rows = LengthGroupedSampler(self._batch_size, lengths=self._lengths, generator=generator)
        return (EpochRow(epoch, row) for row in rows)
