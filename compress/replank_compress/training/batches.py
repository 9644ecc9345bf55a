"""Batches for Trainer: examples of similar length together, padded to the longest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from replank.data.training_examples import EpochRow
from replank.tasks.kinds import Kind
from replank.text.tokenization import TextEncoder
from replank_compress.training.internals import LengthGroupedSampler


class Collator:
    """Examples to a padded batch of tensors."""

    def __init__(self, text_encoder: TextEncoder, kind: Kind) -> None:
        self._text_encoder, self._kind = text_encoder, kind

    def __call__(self, rows: list[tuple[Any, ...]]) -> dict[str, torch.Tensor]:
        """One batch: the model's inputs, and ``labels``, see :meth:`Kind.target_array`.

        Of examples that a predecessor answered also ``taught``, its logits: shape ``(batch, outputs)``, or
        ``(batch, length, outputs)`` with NaN where no token is asked.
        """
        tokens, targets, *answers = zip(*rows, strict=True)
        batch = self._text_encoder.pad(list(tokens))
        arrays: dict[str, NDArray[Any]] = dict(batch.inputs())
        arrays["labels"] = self._kind.target_array(targets, batch.shape[1])
        if answers:
            arrays["taught"] = self._taught(answers[0], batch.shape[1])
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _taught(self, answers: Sequence[NDArray[np.float32]], length: int) -> NDArray[np.float32]:
        if not self._kind.is_per_token:
            return np.concatenate(answers)
        taught = np.full((len(answers), length, answers[0].shape[1]), np.nan, dtype=np.float32)
        for row, answer in zip(taught, answers, strict=True):
            row[: len(answer)] = answer
        return taught


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
        # Of seed plus epoch, the orders of two seeds would be the same, moved by an epoch.
        mixed = np.random.SeedSequence([self._seed, epoch]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(mixed[0]))
        rows = LengthGroupedSampler(self._batch_size, lengths=self._lengths, generator=generator)
        return (EpochRow(epoch, row) for row in rows)
