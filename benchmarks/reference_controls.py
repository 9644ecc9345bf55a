"""Controls of references: students that see as much, and nothing that tells of the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from replank.references.retrieval import Retriever, identities_of
from replank_compress.references.states import States
from replank_compress.references.student import StatesOfBatch


class RandomRetriever(Retriever):
    """Any other text, by a seed and the text's own tokens."""

    name: ClassVar[str] = "random"

    def __init__(self, texts: Sequence[Sequence[int]], seed: int) -> None:
        super().__init__(identities_of(texts))
        self._seed = seed

    def _similarity(self, ids: Sequence[int]) -> NDArray[np.float32]:
        return np.random.default_rng([self._seed, *ids]).random(len(self), dtype=np.float32)


class ConstantReference(nn.Module):
    """One reference of so many learned states, the same for every text."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.hidden = nn.Parameter(0.02 * torch.randn(tokens, width))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> StatesOfBatch:
        """The same for every row of a batch."""
        rows = len(ids)
        is_there = torch.ones(rows, len(self.embeddings), dtype=torch.long, device=ids.device)
        return self.embeddings.expand(rows, -1, -1), self.hidden.expand(rows, -1, -1), is_there


def zeroed(states: States) -> States:
    """As many states, all of them 0."""
    return replace(states, embeddings=np.zeros_like(states.embeddings), hidden=np.zeros_like(states.hidden))
