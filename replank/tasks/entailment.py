"""Zero-shot classification: any labels, each a hypothesis that a model of natural language inference judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import UsageError
from replank.tasks.answers import HeldScore, Score
from replank.tasks.kinds import KINDS
from replank.tasks.kinds.classification import likeliest_first, softmax_scores
from replank.tasks.kinds.multi_label import DEFAULT_THRESHOLD
from replank.tasks.probabilities import require_finite, sigmoid
from replank.tasks.task import Task

DEFAULT_TEMPLATE = "This example is {}."
_PLACE = "{}"


@dataclass(frozen=True)
class Candidates:
    """Labels that no model was trained on, and the sentence that each is put into.

    :param labels: in the request's order.
    :param template: the sentence, in which ``{}`` stands for a label.
    :param multi_label: whether any number of them may hold; else one does.
    :raises UsageError: there are no labels, one is empty or occurs twice, or the template has no single ``{}``.
    """

    labels: tuple[str, ...]
    template: str = DEFAULT_TEMPLATE
    multi_label: bool = False

    def __post_init__(self) -> None:
        if not self.labels:
            raise UsageError("there are no candidate labels; a text needs one or more")
        if not all(label.strip() for label in self.labels):
            raise UsageError("a candidate label is empty")
        if len(set(self.labels)) < len(self.labels):
            twice = next(label for label in self.labels if self.labels.count(label) > 1)
            raise UsageError(f"the candidate label {twice[:40]!r} occurs twice")
        if self.template.count(_PLACE) != 1:
            raise UsageError(
                f"the hypothesis template {self.template[:60]!r} has {self.template.count(_PLACE)} places for a label",
                hint=f"it is a sentence with one {_PLACE} where the label goes, such as {DEFAULT_TEMPLATE!r}",
            )

    def pairs(self, texts: Sequence[str]) -> tuple[list[str], list[str]]:
        """Each text with each hypothesis, text by text."""
        # Not str.format, whose fields look into objects and pad to any width.
        hypotheses = [self.template.replace(_PLACE, label) for label in self.labels]
        return [text for text in texts for _ in hypotheses], hypotheses * len(texts)

    def holding(self, scores: Sequence[Score]) -> tuple[str, ...]:
        """The labels that hold, of the scores of one text."""
        return KINDS["multi-label" if self.multi_label else "classification"].holding(scores)


@dataclass(frozen=True)
class Entailment:
    """The outputs of a model of natural language inference.

    :param entails: the index of the one that says that the first text entails the second.
    :param contradicts: of the one that says that it does not, where labels are judged each for itself.
    """

    entails: int
    contradicts: int

    @classmethod
    def of(cls, task: Task, name: str) -> Entailment:
        """The outputs by the names of the labels.

        transformers takes the first output for the contradiction, or the last where the first is the entailment; where
        that output is the neutral one its scores are wrong, so that here the name decides.

        :param name: the model's, for the message.
        :raises UsageError: the model classifies no pairs, or its labels do not tell.
        """
        labels = [label.lower() for label in task.labels]
        entails = [index for index, label in enumerate(labels) if label.startswith("entail")]
        contradicts = [index for index, label in enumerate(labels) if label.startswith("contradict")]
        if len(labels) == 2 and not contradicts:
            contradicts = [index for index in range(2) if index not in entails]
        is_judge = task.kind == KINDS["classification"] and task.may_be_pair
        if not (is_judge and len(entails) == len(contradicts) == 1):
            raise UsageError(
                f"the model {name} {task.kind.serves}, and judges no candidate labels: it has "
                f"{task.kind.describe(task.labels)}",
                hint="models of natural language inference do, whose labels are entailment and contradiction",
            )
        return cls(entails[0], contradicts[0])

    def scores(self, candidates: Candidates, logits: NDArray[np.float32]) -> list[list[Score]]:
        """The scores of the labels for each text, the likeliest first.

        :param logits: of :meth:`Candidates.pairs`, shape ``(texts * labels, outputs)``.
        :returns: of several labels that may hold and of a single one, the probability of entailment against
            contradiction; else the softmax of all labels' entailments.
        :raises ModelError: a logit is NaN or infinite.
        """
        require_finite(logits)
        labels, count = candidates.labels, len(candidates.labels)
        if not candidates.multi_label and count > 1:
            return softmax_scores(labels, logits[:, self.entails].reshape(-1, count))
        against = (logits[:, self.entails] - logits[:, self.contradicts]).astype(np.float64)
        probabilities = sigmoid(against).reshape(-1, count)
        if not candidates.multi_label:
            return [[Score(labels[0], value)] for (value,) in probabilities.tolist()]
        return [
            likeliest_first(
                HeldScore(label, value, value >= DEFAULT_THRESHOLD) for label, value in zip(labels, row, strict=True)
            )
            for row in probabilities.tolist()
        ]
