"""Multi-label classification: any number of labels, or none, for each text or pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import DataError
from replank.tasks.answers import HeldScore, Score, Tensor
from replank.tasks.kinds.cells import Cell, look_up
from replank.tasks.kinds.classification import likeliest_first, named_labels
from replank.tasks.kinds.kind import AGREEMENT, Kind, Route, Thresholds, Value
from replank.tasks.kinds.probability import bernoulli_divergence
from replank.tasks.probabilities import sigmoid

if TYPE_CHECKING:
    import torch

    from replank.text.tokens import Tokens

# The probability from which a label holds where no other threshold was chosen.
DEFAULT_THRESHOLD = 0.5


class MultiLabel(Kind):
    """Each label by a sigmoid of its own: it holds where its probability reaches its threshold."""

    name = "multi-label"
    aliases: ClassVar[tuple[str, ...]] = ("multi-label-classification",)
    head = "SequenceClassification"
    pipeline = "text-classification"
    is_multi_label = True
    label_columns: ClassVar[tuple[str, ...]] = ("labels", "label")
    route: ClassVar[Route] = "/predict"
    serves = "labels whole texts"
    likeness_metrics: ClassVar[tuple[str, ...]] = (AGREEMENT,)

    def fits(self, outputs: int, problem_type: str | None) -> bool:
        """Several outputs that do not exclude each other."""
        return outputs > 1 and problem_type == "multi_label_classification"

    def outputs(self, labels: Sequence[str]) -> int:
        """One for each label."""
        return len(labels)

    def head_settings(self, labels: Sequence[str]) -> dict[str, object]:
        """The labels, and binary cross entropy as loss."""
        return named_labels(labels) | {"problem_type": "multi_label_classification"}

    def describe(self, labels: Sequence[str]) -> str:
        """The first labels."""
        return f"any of {len(labels)} labels ({', '.join(labels[:5])})"

    def label_names(self, cell: Cell) -> list[str]:
        """The labels that hold."""
        return cell if isinstance(cell, list) else [cell]

    def parse_label(self, cell: Cell, text: str, index: Mapping[str, int]) -> NDArray[np.bool_]:
        """Whether each label holds, shape ``(labels,)``."""
        holds = np.zeros(1 + max(index.values()), dtype=np.bool_)
        for name in self.label_names(cell):
            output = look_up(name, index)
            if holds[output]:
                raise DataError(
                    f"the label {name!r} occurs twice in one row",
                    hint="a list holds the names of the labels that hold, each once; 0 or 1 for each label are columns",
                )
            holds[output] = True
        return holds

    def label_array(self, labels: Sequence[Any]) -> NDArray[Any]:
        """bool, shape ``(examples, labels)``."""
        return np.array(labels, dtype=np.bool_)

    def label_counts(self, labels: Any, count: int) -> NDArray[np.int64]:
        """The number of examples for which each label holds."""
        return np.asarray(np.sum(labels, axis=0), dtype=np.int64)

    def balanced_weights(self, labels: Any, count: int) -> NDArray[np.float32]:
        """Weights by which a label's two sides count alike: of rows where it does not hold, and of those where it does.

        :returns: shape ``(2, count)``.
        """
        rows, holding = len(labels), self.label_counts(labels, count)
        sides = np.stack([rows - holding, holding])
        return np.where((sides > 0).all(axis=0), rows / (2 * np.maximum(1, sides)), 1).astype(np.float32)

    def weighted_loss(self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """The mean binary cross entropy of all labels, each side times its weight."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        without, with_it = weights
        return binary_cross_entropy_with_logits(logits, targets, with_it * targets + without * (1 - targets))

    def distillation_loss(self, student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
        """T²·KL(σ(t/T) ∥ σ(s/T)) of each label, their mean."""
        return bernoulli_divergence(student, teacher, temperature)

    def unlabelled_target(self, tokens: Tokens, answer: NDArray[np.float32]) -> Any:
        """The teacher's probabilities, whose loss as labels has the gradient of the one as an answer."""
        return sigmoid(answer[0])

    def target_array(self, targets: Sequence[Any], length: int) -> NDArray[Any]:
        """Shape ``(batch, labels)``, as binary cross entropy compares them with logits."""
        return np.array(targets, dtype=np.float32)

    def holding(self, scores: Sequence[Score]) -> tuple[str, ...]:
        """Those that hold, the likeliest first."""
        return tuple(score.label for score in _held(scores))

    def columns(self, labels: Sequence[str], *, every: bool) -> list[str]:
        """The labels that hold with their probabilities, then the probabilities of all labels."""
        return ["labels", "scores", *(f"score_{label}" for label in labels if every)]

    def row(self, labels: Sequence[str], scores: Sequence[Score], *, every: bool) -> list[Value]:
        """The values of :meth:`columns`."""
        probabilities = {score.label: score.score for score in scores}
        held = _held(scores)
        names, values = [score.label for score in held], [score.score for score in held]
        return [names, values, *(probabilities[label] for label in labels if every)]

    def tensors(self, labels: Sequence[str]) -> list[Tensor]:
        """``scores``, and which labels hold, in the model's order."""
        return [Tensor("scores", "FP32", len(labels)), Tensor("holds", "BOOL", len(labels))]

    def tensor_data(self, labels: Sequence[str], scores: Sequence[Sequence[Score]]) -> dict[str, list[Any]]:
        """All probabilities and decisions, text by text."""
        place = {label: index for index, label in enumerate(labels)}
        in_order = [entry for row in scores for entry in sorted(row, key=lambda score: place[score.label])]
        return {
            "scores": [entry.score for entry in in_order],
            "holds": [isinstance(entry, HeldScore) and entry.holds for entry in in_order],
        }

    def default_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """F1, precision and recall of all decisions together; F1 averaged over labels; whole rows."""
        return ("micro_f1", "macro_f1", "micro_precision", "micro_recall", "subset_accuracy")

    def possible_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Agreement with another model, too."""
        return (*self.default_metrics(labels), AGREEMENT)

    def agreement(
        self, reference: NDArray[np.float32], candidate: NDArray[np.float32], thresholds: Thresholds = None
    ) -> float | None:
        """The fraction of rows for which all labels are decided alike."""
        ours, theirs = (self._decide(logits, thresholds) for logits in (reference, candidate))
        return float((ours == theirs).all(axis=1).mean())

    def _decide(self, logits: NDArray[np.float32], thresholds: Thresholds) -> NDArray[Any]:
        return _holds(sigmoid(logits), thresholds)

    def _scores(self, labels: Sequence[str], logits: NDArray[np.float32], thresholds: Thresholds) -> list[list[Score]]:
        probabilities = sigmoid(logits)
        rows = zip(probabilities.tolist(), _holds(probabilities, thresholds).tolist(), strict=True)
        return [likeliest_first(map(HeldScore, labels, values, holds)) for values, holds in rows]


def _holds(probabilities: NDArray[np.float32], thresholds: Thresholds) -> NDArray[np.bool_]:
    limits = DEFAULT_THRESHOLD if thresholds is None else np.array(thresholds, dtype=np.float32)
    return np.asarray(probabilities >= limits)


def _held(scores: Sequence[Score]) -> list[Score]:
    return [score for score in scores if isinstance(score, HeldScore) and score.holds]
