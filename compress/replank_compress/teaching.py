"""What a predecessor teaches: its answers on the training rows, on copies of them, and on texts without labels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from replank.data.assembly import unlabelled_examples
from replank.data.examples import Dataset, Examples
from replank.system.errors import FieldError
from replank.text.tokens import Tokens
from replank_compress.methods.soft_labels import SoftLabelsConfig
from replank_compress.training.answers import Answers, answers_key, compute_answers
from replank_compress.training.checkpoints import ANSWERS
from replank_compress.training.config import TrainingConfig
from replank_compress.training.train import Training


def unlabelled_texts(config: TrainingConfig, data: Dataset) -> Examples | None:
    """The texts without labels that are to be learned from, if there are any.

    :raises FieldError: no text of the task has a label.
    """
    if not isinstance(config, SoftLabelsConfig) or config.unlabelled is None:
        return None
    if not data.task.kind.has_labels:
        raise FieldError(
            "unlabelled",
            str(config.unlabelled),
            f"nothing for tasks of kind {data.task.kind}: no text of theirs has a label",
            hint="add the texts to the training split",
        )
    return unlabelled_examples(data.task, config.unlabelled)


class Teaching:
    """The predecessor's answers for a training.

    Where they are a whole vocabulary for tokens that are masked anew in each epoch there are none to keep: the
    predecessor then answers at each step.

    :param predecessor: a ``PreTrainedModel``, before it is taken apart.
    :param digest: of its weights.
    :param file: for the answers; ``None`` keeps them with the checkpoints.
    :param perturbed: the fraction of words that are others in copies of the rows; 0 makes none.
    """

    def __init__(
        self,
        training: Training,
        predecessor: Any,
        digest: str,
        file: str | os.PathLike[str] | None,
        perturbed: float = 0.0,
    ) -> None:
        self._training, self._predecessor = training, predecessor
        self._kind = training.data.task.kind
        rows = training.examples.tokens
        has_copies = perturbed > 0 and not self._kind.is_over_vocabulary
        self.copies: list[Tokens] = training.perturbed(perturbed) if has_copies else []
        self._tokens = [*rows, *self.copies]
        self._key = answers_key(digest, self._tokens)
        self._path = training.work / ANSWERS if file is None else Path(file)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Their part of a run's identity."""
        return {} if self._kind.is_over_vocabulary else {"answers": self._key}

    def answers(self) -> Answers | None:
        """The answers on every row, then on every copy; ``None`` if the predecessor must be asked at each step.

        :raises TrainingError: the file of answers holds others, or is damaged.
        """
        if self._kind.is_over_vocabulary:
            return None
        return Answers.kept(self._path, self._key, self._compute)

    def _compute(self) -> Answers:
        training = self._training
        return compute_answers(
            self._predecessor,
            self._kind,
            self._tokens,
            training.text_encoder,
            training.autocast,
        )
