"""Examples as Trainer takes them: batched with others of like length, padded by the one door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.trainer_pt_utils import LengthGroupedSampler

from replank.data.training_examples import IGNORED, LabelledExamples
from replank.text.tokenization import TextEncoder, Tokens


class Collator:
    """Rows to a padded batch of tensors."""

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


class LengthGrouped(LengthGroupedSampler):
    """Random batches of examples of like length: a third less padding on tweets.

    The order is a function of seed and epoch alone. The parent class draws from torch's global generator, and a
    resumed epoch would see other batches than the one that was interrupted.

    :param epoch: asked at the start of each pass. (Being told, by ``set_epoch``, does not reach a sampler that a
        resumed or distributed training has wrapped.)
    """

    def __init__(self, batch_size: int, examples: LabelledExamples, seed: int, epoch: Callable[[], int]) -> None:
        super().__init__(batch_size, lengths=examples.lengths)
        self._examples, self._seed, self._epoch = examples, seed, epoch

    def __iter__(self) -> Iterator[int]:
        self._examples.epoch = self._epoch()
        self.generator = torch.Generator().manual_seed(self._seed + self._examples.epoch)
        order: Iterator[int] = super().__iter__()  # type: ignore[no-untyped-call]
        return order
