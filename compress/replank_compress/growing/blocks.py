"""Texts as blocks of equal length: what pretraining reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from replank.data.training_examples import EpochRow
from replank.system.errors import DataError
from replank.tasks.kinds import Kind
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens


@dataclass(frozen=True)
class TokenStream:
    """All texts of a split, one after the other, each with the tokenizer's last special token behind it.

    :param ids: shape ``(tokens,)``.
    :param begin: ids of the special tokens that a block begins with.
    """

    ids: NDArray[np.int32]
    begin: tuple[int, ...]

    @classmethod
    def of(cls, texts: Sequence[str], text_encoder: TextEncoder) -> TokenStream:
        """The tokens of texts.

        :param text_encoder: one that truncates nothing.
        :raises DataError: the texts have no token.
        """
        around = text_encoder.tokenize([""])[0].ids
        begin, end = around[:-1], around[-1:]
        parts = [tokens.ids[len(begin) :] for tokens in text_encoder.tokenize(texts)]
        parts = [part for part in parts if part != end]
        if not parts:
            raise DataError("the texts have no token", hint="are they all blank?")
        return cls(np.concatenate(parts).astype(np.int32), tuple(begin))

    def blocks(self, length: int) -> list[list[int]]:
        """Blocks of so many tokens, the special ones at the begin included; the last one may be shorter."""
        step = length - len(self.begin)
        return [[*self.begin, *self.ids[at : at + step].tolist()] for at in range(0, len(self.ids), step)]


class MaskedBlocks:
    """Blocks with masked tokens, which are a function of seed, epoch and row; an index that is a row is of epoch 0."""

    def __init__(self, stream: TokenStream, length: int, text_encoder: TextEncoder, kind: Kind, seed: int) -> None:
        self._blocks = stream.blocks(length)
        self._text_encoder, self._kind, self._seed = text_encoder, kind, seed

    @property
    def lengths(self) -> list[int]:
        """Tokens of each block."""
        return [len(block) for block in self._blocks]

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, index: int | EpochRow) -> tuple[Tokens, NDArray[np.int64]]:
        """Tokens and targets, -100 where nothing is asked."""
        epoch, row = index if isinstance(index, EpochRow) else (0, index)
        tokens = Tokens(self._blocks[row], [0] * len(self._blocks[row]))
        generator = partial(np.random.default_rng, [self._seed, epoch, row])
        tokens, target = self._kind.example(tokens, None, self._text_encoder, generator)
        return tokens, target
