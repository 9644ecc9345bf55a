"""What a model is asked of each example, and what the right answer is: for training and for measuring alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from replank.data.examples import Examples
from replank.tasks.task import Task
from replank.text.tokenization import TextEncoder, Tokens

IGNORED = -100
_MASKED = 0.15


class EpochRow(NamedTuple):
    """The index of an example in one pass over the data.

    A sampler yields it, so that it reaches the worker processes of a data loader too.
    """

    epoch: int
    row: int


class LabelledExamples:
    """A split, tokenized, each example with its target.

    A target is a label, a number, or, where each token is asked, an int64 array as long as the tokens, with -100 where
    nothing is: a word's label is that of its first token. For masked language modelling, the masked tokens are a
    function of seed, epoch and row alone; an index that is only a row is of epoch 0.
    """

    def __init__(self, task: Task, text_encoder: TextEncoder, examples: Examples, *, seed: int = 0) -> None:
        self._task, self._text_encoder, self._labels, self._seed = task, text_encoder, examples.labels, seed
        words = task.kind == "token-classification"
        self._tokens = text_encoder.tokenize(examples.first, examples.second, words=words)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [len(tokens) for tokens in self._tokens]

    @property
    def unseen_words(self) -> int:
        """Words that have a label and no token: truncated, or nothing to the tokenizer."""
        return sum(tokens.starts.count(-1) for tokens in self._tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, index: int | EpochRow) -> tuple[Tokens, Any]:
        epoch, row = index if isinstance(index, EpochRow) else (0, index)
        tokens = self._tokens[row]
        if self._task.kind == "masked-lm":
            return self._masked(tokens, np.random.default_rng([self._seed, epoch, row]))
        if self._labels is None:
            return tokens, None
        label = self._labels[row]
        return tokens, _spread(tokens, label) if self._task.kind == "token-classification" else label

    def _masked(self, tokens: Tokens, generator: np.random.Generator) -> tuple[Tokens, NDArray[np.int64]]:
        """Of 15 % of the tokens, 80 % become the mask, 10 % any token, and 10 % stay (Devlin et al., 2019)."""
        ids = np.array(tokens.ids, dtype=np.int64)
        candidates = np.flatnonzero(~np.isin(ids, self._text_encoder.special_ids))
        target = np.full_like(ids, IGNORED)
        if candidates.size:
            count = max(1, round(_MASKED * candidates.size))
            chosen = generator.choice(candidates, count, replace=False)
            target[chosen] = ids[chosen]
            fate = generator.random(count)
            anything = generator.integers(0, self._text_encoder.vocabulary_size, count)
            ids[chosen] = np.where(fate < 0.8, self._text_encoder.mask_id, np.where(fate < 0.9, anything, ids[chosen]))
        return Tokens(ids.tolist(), tokens.type_ids), target


def _spread(tokens: Tokens, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    target = np.full(len(tokens), IGNORED, dtype=np.int64)
    for start, label in zip(tokens.starts, labels, strict=True):
        if start >= 0:
            target[start] = label
    return target
