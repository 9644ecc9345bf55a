"""Inputs and targets of a task's examples, for training and for evaluation alike."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from replank.data.examples import Examples
from replank.tasks.task import Task
from replank.text.tokenization import TextEncoder, Words
from replank.text.tokens import Tokens


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
        words: Words | None = "given" if task.kind.is_per_word else None
        self._tokens = text_encoder.tokenize(examples.first, examples.second, words=words)

    @property
    def tokens(self) -> list[Tokens]:
        """The tokens of each example."""
        return self._tokens

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
        label = None if self._labels is None else self._labels[row]
        generator = partial(np.random.default_rng, [self._seed, epoch, row])
        return self._task.kind.example(self._tokens[row], label, self._text_encoder, generator)
