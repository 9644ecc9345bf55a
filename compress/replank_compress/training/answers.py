"""The predecessor's answers on the training rows: its logits in evaluation mode, computed once and kept in a file.

Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015: soft labels. They are the same in every
epoch, so that a step that learns from them costs no forward pass of the predecessor.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from replank.data.training_examples import EpochRow, LabelledExamples
from replank.runtime.predictors import TorchPredictor
from replank.system.errors import ModelError
from replank.system.progress import progress
from replank.tasks.kinds import Kind
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens
from replank_compress.training.kept_arrays import KeptArrays

# Of the training split, in the predecessor alone; whatever a step's micro-batches are, so that these change nothing.
ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class Answers(KeptArrays):
    """The answers on every row.

    :param logits: of all rows, one after the other, shape ``(answers, outputs)``. Halves of the precision are enough:
        the rounding is 0.05 % of a logit.
    :param starts: where each row's begin, and the end; shape ``(rows + 1,)``.
    """

    what: ClassVar[str] = "answers"
    others: ClassVar[str] = "answers of another predecessor, or on other texts"
    others_hint: ClassVar[str | None] = (
        "name another file as `answers`, or none: they are then kept with the checkpoints"
    )
    logits: NDArray[np.float16]
    starts: NDArray[np.int64]

    def __getitem__(self, row: int) -> NDArray[np.float32]:
        """The answers of a row, shape ``(answers, outputs)``: one, or one for each position that is asked."""
        return self.logits[self.starts[row] : self.starts[row + 1]].astype(np.float32)

    def __len__(self) -> int:
        return len(self.starts) - 1


class TaughtExamples:
    """Examples with their labels and the predecessor's answers.

    :param labelled: examples; those without a label learn from the answers alone.
    :param answers: on the examples, and behind them on the copies.
    :param copies: of each example one, without its label, or none at all. In one pass every other example gives way to
        its copy, in the next pass the others do.
    :param with_answers: whether a method takes answers beside the targets that are made of them.
    """

    def __init__(
        self,
        labelled: LabelledExamples,
        kind: Kind,
        answers: Answers,
        copies: Sequence[Tokens] = (),
        *,
        with_answers: bool = True,
    ) -> None:
        self._labelled, self._kind, self._answers, self._with_answers = labelled, kind, answers, with_answers
        self._copies = copies

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return self._labelled.lengths

    def __len__(self) -> int:
        return len(self._labelled)

    def __getitem__(self, index: int | EpochRow) -> tuple[Any, ...]:
        """Tokens, target, answers: shape ``(1, outputs)``, or ``(tokens, outputs)`` with NaN where none is asked."""
        epoch, row = index if isinstance(index, EpochRow) else (0, index)
        if self._copies and (epoch + row) % 2:
            tokens, target, answer = self._copies[row], None, self._answers[len(self) + row]
        else:
            (tokens, target), answer = self._labelled[index], self._answers[row]
        if target is None:
            target = self._kind.unlabelled_target(tokens, answer)
        if not self._with_answers:
            return tokens, target
        asked = self._kind.asked(tokens)
        if asked is None:
            return tokens, target, answer
        spread = np.full((len(tokens), answer.shape[1]), np.nan, dtype=np.float32)
        spread[asked] = answer
        return tokens, target, spread


def answers_key(digest: str, tokens: Sequence[Tokens]) -> str:
    """The identity of what answers are made of: the predecessor and the tokens of every row.

    The precision is no part of it: a run that goes on elsewhere, in another one, keeps its answers.

    :param digest: of the predecessor's weights.
    """
    content = hashlib.sha256(digest.encode())
    for row in tokens:
        content.update(json.dumps([row.ids, row.type_ids, row.starts]).encode())
    return content.hexdigest()


def compute_answers(
    model: Any, kind: Kind, tokens: Sequence[Tokens], text_encoder: TextEncoder, autocast: Any
) -> Answers:
    """A model's logits on every row, without dropout.

    :param autocast: the context of training's precision.
    :raises ModelError: a logit is NaN or infinite, in half precision.
    """
    predictor = TorchPredictor(model, "cuda" if torch.cuda.is_available() else "cpu")
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
    found: list[NDArray[np.float16]] = [np.empty((0, 0), dtype=np.float16)] * len(tokens)
    with progress("answers of the predecessor", len(tokens)) as advance:
        for begin in range(0, len(order), ROWS_AT_ONCE):
            rows = order[begin : begin + ROWS_AT_ONCE]
            with autocast():
                logits = predictor(text_encoder.pad([tokens[row] for row in rows]))
            for row, row_logits in zip(rows, logits.astype(np.float16), strict=True):
                asked = kind.asked(tokens[row])
                found[row] = row_logits[None] if asked is None else row_logits[asked]
            advance(len(rows))
    answers = Answers(np.concatenate(found), np.cumsum([0, *map(len, found)]))
    if not np.isfinite(answers.logits).all():
        raise ModelError("the predecessor's answers are not finite numbers (NaN or infinity)")
    return answers
