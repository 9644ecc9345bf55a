"""What there is to learn in a kind of task: labels as files have them, targets of examples, and losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from replank.tasks.kinds.cells import Cell, single_value

if TYPE_CHECKING:
    import torch

    from replank.text.tokenization import TextEncoder
    from replank.text.tokens import Tokens

# The target of a position that has no loss, as torch's cross entropy has it.
IGNORED = -100


class Learning(ABC):
    """The part of a kind of task that trainings and evaluations read.

    :cvar is_per_token: whether each token has an output, shape ``(batch, length, outputs)``, or each text,
        ``(batch, outputs)``.
    """

    is_per_token: ClassVar[bool] = False

    def label_names(self, cell: Cell) -> list[str]:
        """The names of labels in a cell."""
        return [single_value(cell)]

    @abstractmethod
    def parse_label(self, cell: Cell, text: str, index: Mapping[str, int]) -> Any:
        """The label of one example.

        :param cell: the label as the file has it.
        :param text: the example's (first) text.
        :param index: the model's output for each label name.
        :raises DataError: the cell is no label; the caller adds file and line.
        """

    @abstractmethod
    def label_array(self, labels: Sequence[Any]) -> NDArray[Any]:
        """Labels of :meth:`parse_label` as one array, shape ``(examples,)``, or ``(examples, labels)``."""

    def label_counts(self, labels: Any, count: int) -> NDArray[np.int64]:
        """How often each label occurs, shape ``(count,)``.

        :param labels: as :meth:`label_array` holds them.
        """
        return np.bincount(np.concatenate(labels) if self.is_per_token else labels, minlength=count)

    # Targets and losses

    def example(
        self, tokens: Tokens, label: Any, text_encoder: TextEncoder, generator: Callable[[], np.random.Generator]
    ) -> tuple[Tokens, Any]:
        """The input and the target of one example.

        :param label: as :meth:`label_array` holds it; ``None`` of an unlabelled example.
        :param generator: random numbers of this example in this epoch.
        :returns: a target is a label, a number, a bool for each label, or an int64 array as long as the tokens, with
            -100 where nothing is asked.
        """
        return tokens, label

    def balanced_weights(self, labels: Any, count: int) -> NDArray[np.float32]:
        """Weights by which each class counts as much as any other in the loss: rows / (classes * rows of the class).

        :param labels: as :meth:`label_array` holds them.
        :param count: the number of classes; the weight of one without a row is 1.
        :returns: shape ``(count,)``.
        """
        rows = self.label_counts(labels, count)
        present = rows > 0
        weights = np.ones(count, dtype=np.float32)
        weights[present] = rows.sum() / (present.sum() * rows[present])
        return weights

    def weighted_loss(self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """The mean cross entropy of the targets of a batch, each times the weight of its class.

        :param logits: shape ``(batch, outputs)``, or ``(batch, length, outputs)``.
        :param targets: see :meth:`target_array`.
        :param weights: see :meth:`balanced_weights`.
        """
        from torch.nn import functional

        flat, wanted = logits.flatten(0, -2), targets.flatten()
        total = functional.cross_entropy(flat, wanted, weights, ignore_index=IGNORED, reduction="sum")
        return total / (wanted != IGNORED).sum()

    def asked(self, tokens: Tokens) -> list[int] | None:
        """The positions of an example that have an answer; ``None`` where the text as a whole has it."""
        return None

    def distillation_loss(self, student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
        """The distance of a student's logits from a teacher's: T²·KL(teacher ∥ student) (Hinton et al., 2015).

        :param student: logits, shape ``(answers, outputs)``; ``teacher`` likewise.
        :param temperature: T > 0, by which both are divided.
        :returns: of each answer, shape ``(answers,)``.
        """
        from torch.nn import functional

        ours, theirs = (functional.log_softmax(logits.float() / temperature, dim=-1) for logits in (student, teacher))
        return functional.kl_div(ours, theirs, log_target=True, reduction="none").sum(-1) * temperature**2

    def unlabelled_target(self, tokens: Tokens, answer: NDArray[np.float32]) -> Any:
        """The target of an example without a label: the loss on labels passes over it.

        :param answer: a teacher's logits, shape ``(answers, outputs)``.
        """
        return np.full(len(tokens), IGNORED, dtype=np.int64) if self.is_per_token else IGNORED

    def target_array(self, targets: Sequence[Any], length: int) -> NDArray[Any]:
        """The targets of a batch, each as :meth:`example` gives it.

        :param length: tokens of each text, padding included.
        :returns: shape ``(batch,)``, or ``(batch, length)`` with -100 where no token is asked; of numbers and of
            several labels float32, ``(batch, outputs)`` where the loss asks for it.
        """
        if not self.is_per_token:
            return np.array(targets)
        padded = np.full((len(targets), length), IGNORED, dtype=np.int64)
        for row, target in zip(padded, targets, strict=True):
            row[: len(target)] = target
        return padded
