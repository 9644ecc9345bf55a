"""The interface of a kind of task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import ModelError
from replank.tasks.kinds.learning import Learning
from replank.tasks.probabilities import require_finite

if TYPE_CHECKING:
    from replank.tasks.answers import Score, Tensor

# A value in a table of answers.
Value = str | float | list[str] | list[float]
# Of each label, the probability from which it holds; ``None``: 0.5, or nothing that is decided so.
Thresholds = Sequence[float] | None
# Of vectors beside a predecessor's.
LIKENESS_METRICS = ("cosine", "neighbours")
# Of rows without labels: the fraction that is decided as another model decides it.
AGREEMENT = "agreement"
Route = Literal["/predict", "/ner", "/embed", "/fill-mask"]


class Kind(Learning):
    """A kind of task; one stateless object each, in :data:`replank.tasks.kinds.KINDS`.

    Where a task matters, its ``labels`` are given: names in the order of the outputs; none where it has none.

    :cvar name: the name in manifests and options.
    :cvar aliases: other names, such as the pipeline task of transformers.
    :cvar head: transformers' head, as in ``AutoModelFor…`` and ``ORTModelFor…``.
    :cvar pipeline: the hub's name of the task.
    :cvar output: the name of a graph's output.
    :cvar has_head: whether there is a head beside the encoder.
    :cvar is_per_word: whether texts are lists of words with a label each.
    :cvar is_multi_label: whether any number of labels may hold, each from a threshold on; its labels and decisions are
        then bool arrays, a value for each label.
    :cvar is_over_vocabulary: whether the outputs are the vocabulary.
    :cvar takes_pairs: whether an example may be two texts.
    :cvar compares_pairs: whether an example may be two texts of which each is answered alone.
    :cvar is_ranked: whether examples are passages, which are ranked for each query.
    :cvar can_rank: whether the answer to a pair says how well its texts fit.
    :cvar has_labels: whether examples have a label column.
    :cvar labels_are_optional: whether a split may have no labels, because training does not need them.
    :cvar has_label_names: whether the labels are names from a closed set.
    :cvar likeness_metrics: by which answers are compared with another model's where rows have no labels; none if they
        are not.
    :cvar ranks_candidates: whether rows are about candidates of queries, by whose order a model is judged.
    :cvar label_columns: names that a label column often has, the likeliest first.
    :cvar evaluation_batch: the number of texts that evaluation runs together.
    :cvar route: the server's route.
    :cvar serves: what a model of this kind does, for messages: "the model X {serves}".
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    head: ClassVar[str]
    pipeline: ClassVar[str]
    output: ClassVar[str] = "logits"
    has_head: ClassVar[bool] = True
    is_per_word: ClassVar[bool] = False
    is_multi_label: ClassVar[bool] = False
    is_over_vocabulary: ClassVar[bool] = False
    takes_pairs: ClassVar[bool] = True
    compares_pairs: ClassVar[bool] = False
    is_ranked: ClassVar[bool] = False
    can_rank: ClassVar[bool] = False
    has_labels: ClassVar[bool] = True
    labels_are_optional: ClassVar[bool] = False
    has_label_names: ClassVar[bool] = True
    likeness_metrics: ClassVar[tuple[str, ...]] = ()
    ranks_candidates: ClassVar[bool] = False
    label_columns: ClassVar[tuple[str, ...]] = ("label",)
    evaluation_batch: ClassVar[int] = 32
    route: ClassVar[Route]
    serves: ClassVar[str]

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    # The model

    @property
    def auto_class(self) -> str:
        """transformers' class that loads a model with the head."""
        return f"AutoModelFor{self.head}"

    def fits(self, outputs: int, problem_type: str | None) -> bool:
        """Whether a model whose head is this kind's is of this kind.

        :param problem_type: as transformers' configuration has it.
        """
        return True

    @abstractmethod
    def outputs(self, labels: Sequence[str]) -> int:
        """The number of outputs of an answer; 0 where the vocabulary or the hidden size decides."""

    def head_settings(self, labels: Sequence[str]) -> dict[str, object]:
        """The settings of the head for transformers' configuration."""
        return {}

    @abstractmethod
    def describe(self, labels: Sequence[str]) -> str:
        """The answers in words, such as "2 labels (bad, good)"."""

    # Decisions and answers

    def decide(self, logits: NDArray[np.float32], thresholds: Thresholds = None) -> NDArray[Any]:
        """The decisions: indices of labels, numbers, or for each label whether it holds.

        :param logits: shape ``(examples, outputs)``, or ``(examples, length, outputs)``.
        :returns: the same shape without the last dimension; where several labels may hold, the same shape.
        :raises ModelError: a logit is NaN or infinite.
        """
        require_finite(logits)
        return self._decide(logits, thresholds)

    def scores(
        self, labels: Sequence[str], logits: NDArray[np.float32], thresholds: Thresholds = None
    ) -> list[list[Score]]:
        """The scores of all labels of each example, the likeliest first.

        :param logits: shape ``(examples, outputs)``.
        :raises ModelError: a logit is NaN or infinite, or models of this kind score no labels.
        """
        require_finite(logits)
        return self._scores(labels, logits, thresholds)

    def holding(self, scores: Sequence[Score]) -> tuple[str, ...]:
        """The labels that hold, of the scores of one example: the likeliest one."""
        return (scores[0].label,)

    def columns(self, labels: Sequence[str], *, every: bool) -> list[str]:
        """The columns of a table of answers.

        :param every: with the score of every label.
        """
        raise ModelError(f"models of kind {self} give no table of answers")

    def row(self, labels: Sequence[str], scores: Sequence[Score], *, every: bool) -> list[Value]:
        """One row of such a table, from the scores of one example."""
        raise ModelError(f"models of kind {self} give no table of answers")

    def tensors(self, labels: Sequence[str]) -> list[Tensor]:
        """The outputs of an inference protocol that speaks in tensors; none if this kind has none there."""
        return []

    def tensor_data(self, labels: Sequence[str], scores: Sequence[Sequence[Score]]) -> dict[str, list[Any]]:
        """The flat data of :meth:`tensors`, by name, for the scores of several examples."""
        return {}

    # Metrics and agreement

    @abstractmethod
    def default_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Names of metrics, the headline first; none where nothing is scored."""

    def possible_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Names of all metrics that mean something here, those of :meth:`default_metrics` first."""
        return self.default_metrics(labels)

    def agreement(
        self, reference: NDArray[np.float32], candidate: NDArray[np.float32], thresholds: Thresholds = None
    ) -> float | None:
        """The fraction of rows for which two models decide alike; ``None`` where they decide nothing.

        :param reference: logits, shape ``(rows, outputs)``; ``candidate`` likewise.
        """
        return float((reference.argmax(axis=1) == candidate.argmax(axis=1)).mean())

    def disagreement(self, reference: NDArray[Any], candidate: NDArray[Any]) -> tuple[float, str]:
        """The distance of two models' decisions, as a fraction, and what it is a fraction of.

        :param reference: of :meth:`decide`; ``candidate`` likewise.
        """
        return float((reference != candidate).mean()), "of all"

    def _decide(self, logits: NDArray[np.float32], thresholds: Thresholds) -> NDArray[Any]:
        return np.asarray(logits.argmax(axis=-1))

    def _scores(self, labels: Sequence[str], logits: NDArray[np.float32], thresholds: Thresholds) -> list[list[Score]]:
        raise ModelError(f"models of kind {self} score no labels")
