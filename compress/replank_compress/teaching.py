"""What a predecessor teaches: its answers on the training rows, checked for sense before a training begins."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.data.examples import Dataset
from replank.tasks.metrics import majority_share, require_labels
from replank_compress.methods.soft_labels import SoftLabelsConfig
from replank_compress.training.answers import Answers, answers_key, compute_answers, kept_answers
from replank_compress.training.checkpoints import ANSWERS
from replank_compress.training.train import Training

_log = logging.getLogger(__name__)


class Teaching:
    """The predecessor's answers for a training.

    Where they are a whole vocabulary for tokens that are masked anew in each epoch there are none to keep: the
    predecessor then answers at each step.

    :param predecessor: a ``PreTrainedModel``, before it is taken apart.
    :param digest: of its weights.
    """

    def __init__(self, training: Training, predecessor: Any, digest: str, config: SoftLabelsConfig) -> None:
        self._training, self._predecessor, self._config = training, predecessor, config
        self._kind = training.data.task.kind
        self._key = answers_key(digest, training.examples.tokens)
        self._path = training.work / ANSWERS if config.answers is None else Path(config.answers)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Their part of a run's identity."""
        return {} if self._kind.is_over_vocabulary else {"answers": self._key}

    def answers(self) -> Answers | None:
        """The answers on every row; ``None`` if the predecessor must be asked at each step.

        :raises TrainingError: the file of answers holds others, or is damaged.
        """
        if self._kind.is_over_vocabulary:
            return None
        answers = kept_answers(self._path, self._key, self._compute)
        _tell_of_chance(self._training.data, answers)
        return answers

    def _compute(self) -> Answers:
        training = self._training
        return compute_answers(
            self._predecessor,
            self._kind,
            training.examples.tokens,
            training.text_encoder,
            training.autocast,
        )


def _tell_of_chance(data: Dataset, answers: Answers) -> None:
    """Warn of a predecessor that knows no more of its training split than the most frequent label, or nothing."""
    kind, labels = data.task.kind, require_labels(data.split("train").labels)
    rows = range(len(labels))
    decisions = [kind.decide(answers[row]) for row in rows]
    if kind.is_per_token:
        # Words beyond the length that the model reads have no answer.
        pairs = [(found, np.asarray(truth)[: len(found)]) for found, truth in zip(decisions, labels, strict=True)]
        decisions, labels = [found for found, _ in pairs], [truth for _, truth in pairs]
    found = np.concatenate(decisions)
    truth: NDArray[Any] = np.concatenate(labels) if kind.is_per_token else np.asarray(labels)
    if kind.has_label_names:
        right, chance = float((found == truth).mean()), majority_share(data.task, labels) or 0.0
        knows = right > chance
        shown = f"it is right on {right:.1%} of the training split, the most frequent label on {chance:.1%}"
    else:
        # Without any spread there is no correlation.
        correlation = float(np.corrcoef(found, truth)[0, 1]) if found.std() > 0 and truth.std() > 0 else 0.0
        knows = correlation > 0
        shown = f"its numbers have a correlation of {correlation:.2f} with the training split's"
    if not knows:
        _log.warning("the predecessor is no better than chance: %s; there is nothing to keep of it", shown)
