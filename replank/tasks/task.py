"""A task: what is asked of an encoder, as it is stored in every manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.system.typed_json import dataclass_from_json, object_values
from replank.tasks.answers import Score
from replank.tasks.kinds import Kind, kind_named
from replank.tasks.kinds.multi_label import DEFAULT_THRESHOLD
from replank.tasks.reasoning import Reasoning
from replank.tasks.vectors import Vectors

# transformers' names of the two texts of a pair, where no data has named its columns.
PAIR_COLUMNS = ("text", "text_pair")


@dataclass(frozen=True)
class Task:
    """One task.

    :param name: GLUE's name, or the user's.
    :param kind: one of :data:`replank.tasks.kinds.KINDS`.
    :param labels: label names in the order of the model's outputs; empty where there are none.
    :param columns: the text columns, one (single sentence) or two (sentence pair); none where a plain model folder
        does not tell.
    :param label_column: the column of the label.
    :param metrics: names of metrics, the headline first; those of :data:`replank.tasks.metrics.METRIC_NAMES`.
    :param max_length: tokens a text (or pair) is truncated to, special tokens included.
    :param label_separator: the characters between labels, where a table writes several in one value.
    :param thresholds: where several labels may hold, the probability from which each does, in the order of
        ``labels``; ``None``: 0.5.
    :param reasoning: the form of the questions of relation prediction; ``None`` of other kinds.
    :param vectors: how an embedding model makes a vector of a text; ``None`` where its folder did not say.
    :param query_column: the column that tells a query from others, where rows are passages that are ranked for each.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    label_column: str
    metrics: tuple[str, ...]
    max_length: int = 128
    vectors: Vectors | None = None
    label_separator: str | None = None
    thresholds: tuple[float, ...] | None = None
    reasoning: Reasoning | None = None
    query_column: str | None = None

    def __post_init__(self) -> None:
        if self.thresholds is None:
            return
        if not self.kind.is_multi_label or len(self.thresholds) != len(self.labels):
            raise ValueError(
                f"task.thresholds has {len(self.thresholds)} numbers, of {self.kind.describe(self.labels)}; "
                "expected one for each label where several may hold"
            )
        for index, threshold in enumerate(self.thresholds):
            if not 0 <= threshold <= 1:
                raise ValueError(f"task.thresholds[{index}] is {threshold}; expected a probability, 0 to 1")

    @property
    def headline(self) -> str:
        """The metric by which checkpoints are chosen and losses of quality are judged."""
        return self.metrics[0]

    @property
    def is_pair(self) -> bool:
        """Whether an example is two texts."""
        return len(self.columns) == 2

    @property
    def may_be_pair(self) -> bool:
        """Whether an example may be two texts: where a plain model folder does not tell, each request does."""
        return self.is_pair or (not self.columns and self.kind.takes_pairs)

    @property
    def is_ranked(self) -> bool:
        """Whether rows are passages, which are ranked for each query."""
        return self.query_column is not None

    @property
    def gives_vectors(self) -> bool:
        """Whether texts are answered with vectors."""
        return self.kind.route == "/embed"

    @property
    def gives_one_vector(self) -> bool:
        """Whether a text is answered with one vector, rather than one for each token."""
        return self.gives_vectors and not self.is_per_token

    @property
    def pooled(self) -> Task:
        """The task of a model that makes one vector of a text by itself, as this one's settings have it."""
        return replace(
            self,
            kind=kind_named("sentence-embedding"),
            vectors=replace(self.vector_settings, pooling=None, normalize=False),
        )

    @property
    def is_per_token(self) -> bool:
        """Whether each token has an answer of its own."""
        return self.kind.is_per_token

    @property
    def outputs(self) -> int:
        """The number of logits of an answer; 0 where the vocabulary or the hidden size decides."""
        return self.kind.outputs(self.labels)

    @property
    def thresholds_by_label(self) -> dict[str, float] | None:
        """The probability from which each label holds; ``None`` where labels exclude each other, or there are none."""
        if not self.kind.is_multi_label:
            return None
        return dict(zip(self.labels, self.thresholds or [DEFAULT_THRESHOLD] * len(self.labels), strict=True))

    @property
    def vector_settings(self) -> Vectors:
        """How a vector is made of a text: as the model's folder said, else the mean of the tokens at length 1."""
        if self.vectors is not None:
            return self.vectors
        return Vectors() if self.is_per_token else Vectors(pooling=None, normalize=False)

    def decide(self, logits: NDArray[np.float32]) -> NDArray[Any]:
        """The decisions, see :meth:`Kind.decide`."""
        return self.kind.decide(logits, self.thresholds)

    def scores(self, logits: NDArray[np.float32]) -> list[list[Score]]:
        """The scores of all labels of each example, see :meth:`Kind.scores`."""
        return self.kind.scores(self.labels, logits, self.thresholds)

    def agreement(self, reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> float | None:
        """The fraction of rows for which two models decide alike, see :meth:`Kind.agreement`."""
        return self.kind.agreement(reference, candidate, self.thresholds)

    def to_json(self) -> dict[str, Any]:
        """This task as plain JSON values."""
        return object_values(self) | {"kind": self.kind.name}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Task:
        """The task that :meth:`to_json` wrote.

        :raises ValueError: a value is missing or of another type, or thresholds that can be none.
        :raises FieldError: a kind that this release does not know.
        """
        if not isinstance(values, dict) or not isinstance(values.get("kind"), str):
            return dataclass_from_json(cls, values, "task")  # which says what is wrong
        return dataclass_from_json(cls, values | {"kind": kind_named(values["kind"])}, "task")


def headline(metrics: Mapping[str, float]) -> tuple[str, float]:
    """The name and value of the headline metric: of a task's metrics, it is always stored first."""
    return next(iter(metrics.items()))
