"""Labelled examples: a task and its splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import DataError
from replank.tasks.groups import Groups
from replank.tasks.task import Task

SPLITS = ("train", "dev", "test", "dev_mismatched", "test_mismatched", "ax")
# MNLI's splits as GLUE's own files name them, and the other word for dev.
OTHER_NAMES = {"dev_matched": "dev", "test_matched": "test", "validation": "dev", "valid": "dev"}


@dataclass(frozen=True)
class Examples:
    """The rows of one split.

    :param first: the texts, or the first texts of pairs.
    :param second: the second texts of pairs, else ``None``.
    :param labels: shape ``(rows,)``: label indices (int64), numbers (float32), or for each row an array of the label
        indices of its words; where several labels may hold, shape ``(rows, labels)``, whether each does; ``None`` for
        an unlabelled split. A predecessor's vectors, where they are what is to be learned, have shape
        ``(rows, width)``.
    :param judge: the name of the model whose answers the labels are, where the data has none; they are no part of it.
    :param groups: the rows by query and candidate, where candidates are ranked by their paths.
    :param queries: the number of each row's query, from 0 on, where rows are passages that are ranked for a query.
    """

    first: Sequence[str]
    second: Sequence[str] | None
    labels: NDArray[Any] | None
    groups: Groups | None = None
    queries: NDArray[np.int64] | None = None
    judge: str | None = None

    def __len__(self) -> int:
        return len(self.first)

    @property
    def judged(self) -> int:
        """How many things a metric is the mean of: queries, where candidates or passages are ranked, else rows."""
        if self.groups is not None:
            return self.groups.queries
        return len(self) if self.queries is None else len(np.unique(self.queries))

    def head(self, rows: int) -> Examples:
        """The first rows, without the candidates that they are about."""
        return Examples(
            self.first[:rows],
            None if self.second is None else self.second[:rows],
            None if self.labels is None else self.labels[:rows],
            queries=None if self.queries is None else self.queries[:rows],
            judge=self.judge,
        )

    def texts(self) -> list[str]:
        """The texts of both columns, each once, without blank ones."""
        return [text for text in dict.fromkeys([*self.first, *(self.second or ())]) if text.strip()]

    def with_unlabelled(self, others: Examples) -> Examples:
        """These rows, and behind them those of others, whose labels are ``None``."""
        labels = np.empty(len(self) + len(others), dtype=object)
        if self.labels is not None:
            for row, label in enumerate(self.labels):  # of arrays, numpy would make one array
                labels[row] = label
        second = None if self.second is None else [*self.second, *(others.second or ())]
        return Examples([*self.first, *others.first], second, labels)

    @cached_property
    def digest(self) -> str:
        """A sha256 over texts and labels: two runs that saw the same data have the same."""
        labels = self.labels if self.judge is None else None
        values = None if labels is None else [np.asarray(label).tolist() for label in labels]
        content: list[Any] = [list(self.first), self.second and list(self.second), values]
        if self.queries is not None:
            content.append(self.queries.tolist())
        text = json.dumps(content)
        if self.groups is not None:
            text += self.groups.digest
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A task and its splits."""

    task: Task
    splits: dict[str, Examples]

    def split(self, name: str, *, otherwise: str = "") -> Examples:
        """One split.

        :param otherwise: what a person may do instead of giving it, for the hint.
        :raises DataError: the data has no such split; the message says which it has.
        """
        name = OTHER_NAMES.get(name, name)
        if name not in self.splits:
            raise DataError(
                f"the data has no {name!r} split; it has {', '.join(self.splits)}",
                hint=f"give `{name}=FILE`, or add {name}.tsv to the folder" + (otherwise and f", or {otherwise}"),
            )
        return self.splits[name]

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each split."""
        return {name: split.digest for name, split in self.splits.items()}

    @property
    def also_held_out(self) -> str | None:
        """MNLI's other split of the same sort, of genres that it was not trained on; if it is there, with labels."""
        other = self.splits.get(f"{self.held_out}_mismatched")
        return f"{self.held_out}_mismatched" if other is not None and other.labels is not None else None

    @property
    def chosen_on(self) -> str:
        """The split that choices are made on: ``dev``, if it is there with the labels that the held-out one has."""
        dev = self.splits.get("dev")
        return "dev" if dev is not None and (dev.labels is not None or not self.has_labels) else self.held_out

    @property
    def has_labels(self) -> bool:
        """Whether the held-out split has labels to score a model by."""
        return self.held_out in self.splits and self.splits[self.held_out].labels is not None

    @property
    def held_out(self) -> str:
        """The split that quality is reported on: ``test`` if it has labels, for no choice is made on it."""
        test = self.splits.get("test")
        return "test" if test is not None and test.labels is not None else "dev"
