"""Token classification: a label for each word, such as named entities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import DataError, FieldError
from replank.tasks.answers import Score
from replank.tasks.entities import entity_scheme
from replank.tasks.kinds.cells import Cell, look_up
from replank.tasks.kinds.classification import named_labels, softmax_scores
from replank.tasks.kinds.kind import Kind, Route, Thresholds
from replank.tasks.kinds.learning import IGNORED
from replank.text.words import words_of

if TYPE_CHECKING:
    from replank.text.tokenization import TextEncoder
    from replank.text.tokens import Tokens


class TokenClassification(Kind):
    """A label for each word, that of its first token."""

    name = "token-classification"
    head = "TokenClassification"
    pipeline = "token-classification"
    is_per_token = True
    is_per_word = True
    takes_pairs = False
    label_columns: ClassVar[tuple[str, ...]] = ("ner_tags", "tags", "labels", "label")
    route: ClassVar[Route] = "/ner"
    serves = "labels each word"

    def outputs(self, labels: Sequence[str]) -> int:
        """One for each label."""
        return len(labels)

    def head_settings(self, labels: Sequence[str]) -> dict[str, object]:
        """The labels; transformers knows one loss for this head."""
        return named_labels(labels) | {"problem_type": None}

    def describe(self, labels: Sequence[str]) -> str:
        """The first labels, and how they make entities."""
        scheme = entity_scheme(tuple(labels))
        entities = f"entities by {scheme.name}" if scheme else "no entities"
        return f"{len(labels)} labels ({', '.join(labels[:5])}) for each word, {entities}"

    def label_names(self, cell: Cell) -> list[str]:
        """The labels of a cell's words."""
        return _labels(cell)

    def parse_label(self, cell: Cell, text: str, index: Mapping[str, int]) -> NDArray[np.int64]:
        """The indices of the words' labels, shape ``(words,)``."""
        names, words = _labels(cell), words_of(text)
        if len(names) != len(words):
            raise DataError(
                f"{len(names)} labels for {len(words)} words",
                hint="each word needs one: lists in .jsonl, or values with spaces between in .csv and .tsv",
            )
        return np.array([look_up(name, index) for name in names], dtype=np.int64)

    def label_array(self, labels: Sequence[Any]) -> NDArray[Any]:
        """An array of arrays, of different lengths."""
        array = np.empty(len(labels), dtype=object)
        array[:] = labels
        return array

    def example(
        self, tokens: Tokens, label: Any, text_encoder: TextEncoder, generator: Callable[[], np.random.Generator]
    ) -> tuple[Tokens, Any]:
        """Each word's label at its first token."""
        if label is None:
            return tokens, None
        target = np.full(len(tokens), IGNORED, dtype=np.int64)
        for start, index in zip(tokens.starts, label, strict=True):
            if start >= 0:
                target[start] = index
        return tokens, target

    def asked(self, tokens: Tokens) -> list[int]:
        """The first token of each word."""
        return [start for start in tokens.starts if start >= 0]

    def columns(self, labels: Sequence[str], *, every: bool) -> list[str]:
        """The words of a text with their labels, and its entities; there is no score of every label."""
        if every:
            raise FieldError("scores", every, "false for a model that labels words: each has its likeliest label alone")
        return ["words", "entities"]

    def default_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Entity F1 where labels make entities; accuracy."""
        return ("accuracy", "macro_f1") if entity_scheme(tuple(labels)) is None else ("entity_f1", "accuracy")

    def possible_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Those of classes too."""
        return tuple(dict.fromkeys((*self.default_metrics(labels), "accuracy", "macro_f1", "matthews")))

    def _scores(self, labels: Sequence[str], logits: NDArray[np.float32], thresholds: Thresholds) -> list[list[Score]]:
        """Of words or tokens, shape ``(words, outputs)``."""
        return softmax_scores(labels, logits)


def _labels(cell: Cell) -> list[str]:
    return cell if isinstance(cell, list) else cell.split()
