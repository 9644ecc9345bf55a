"""The answers of several methods on one task, paired seed by seed and row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from replank.runtime.evaluate import RowAnswers
from replank.system.errors import DataError, UsageError
from replank.tasks.metrics import Decisions
from replank.tasks.task import Task

PREDECESSOR = "the predecessor"


@dataclass(frozen=True)
class TaskRuns:
    """What is compared on one task.

    :param methods: the answers of each method by its name, those of one seed at the same place in all.
    :param predecessor: its answers, of each seed or one for all seeds.
    :raises UsageError: methods have different numbers of seeds.
    :raises DataError: answers are of different tasks or rows, or of one row alone.
    """

    methods: Mapping[str, Sequence[RowAnswers]]
    predecessor: Sequence[RowAnswers] = ()

    def __post_init__(self) -> None:
        self._require_paired_seeds()
        (first_name, first), *others = self._named()
        for name, other in others:
            _require_same_rows(first_name, first, name, other)
        if len(first) < 2:
            raise DataError(f"{first_name} answered {len(first)} row: chance shows between rows", hint="give more rows")
        if not self.metrics:
            raise DataError(f"{first_name} and the others have no metric in common", hint="name one with `metric`")

    @property
    def task(self) -> Task:
        """The task, as the first method has it."""
        return self._first.task

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self._first)

    @property
    def units(self) -> int:
        """The number of what chance is between: of queries where candidates are ranked, else of rows."""
        groups = self._first.groups
        return self.rows if groups is None else groups.queries

    @property
    def split(self) -> str:
        """The name of the split, as the first method has it."""
        return self._first.split

    @property
    def seeds(self) -> int:
        """The number of seeds of each method."""
        return len(next(iter(self.methods.values())))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that all have, the first one's headline first."""
        return tuple(
            metric
            for metric in self.task.metrics
            if all(metric in answers.task.metrics for _, answers in self._named())
        )

    @property
    def _first(self) -> RowAnswers:
        return next(answers for _, answers in self._named())

    def _named(self) -> Iterator[tuple[str, RowAnswers]]:
        """All answers, each with its name in messages."""
        for method, runs in [*self.methods.items(), (PREDECESSOR, self.predecessor)]:
            for number, answers in enumerate(runs, 1):
                yield (f"{method}, seed {number} ({answers.model})" if len(runs) > 1 else method), answers

    def _require_paired_seeds(self) -> None:
        (first, runs), *others = self.methods.items()
        if not runs:
            raise UsageError(f"{first} has no answers", hint="give those of one seed or more")
        for name, other in [*others, *([(PREDECESSOR, self.predecessor)] if len(self.predecessor) > 1 else [])]:
            if len(other) != len(runs):
                raise UsageError(
                    f"{first} has {_counted(len(runs), 'seed')}, and {name} has {_counted(len(other), 'seed')}",
                    hint="seeds are compared in pairs, in the order given: name as many of one as of the other",
                )


def _require_same_rows(first_name: str, first: RowAnswers, name: str, other: RowAnswers) -> None:
    """Refuse answers that are not of the same rows and labels.

    :raises DataError: they are not; the message says what differs.
    """
    if (first.task.kind, first.task.labels) != (other.task.kind, other.task.labels):
        ours, theirs = (answers.task.kind.describe(answers.task.labels) for answers in (first, other))
        is_order = sorted(first.task.labels) == sorted(other.task.labels) and first.task.kind == other.task.kind
        raise DataError(
            f"{first_name} answers with {ours}; {name} answers with {theirs}",
            hint="the order of labels must be the same too" if is_order else "only answers to one task are compared",
        )
    if len(first) != len(other):
        raise DataError(
            f"{first_name} answered {_counted(len(first), 'row')} of {first.split}; "
            f"{name} answered {_counted(len(other), 'row')} of {other.split}",
            hint="evaluate both on the same split of the same data",
        )
    if first.data != other.data:
        raise DataError(
            f"{first_name} and {name} answered different data: the digest of {first.split} is {first.data[:12]}, "
            f"that of {other.split} is {other.data[:12]}",
            hint="evaluate both on the same split of the same data",
        )
    row = _first_difference(first.truth, other.truth)
    if row is not None:
        reason = "were asked for different tokens in" if first.task.is_per_token else "have different labels for"
        raise DataError(
            f"{first_name} and {name} {reason} row {row + 1}",
            hint="evaluate both with the same `max_length`; models with different tokenizers may read different words",
        )


def _first_difference(ours: Decisions, theirs: Decisions) -> int | None:
    """The first row in which labels differ."""
    return next((row for row, pair in enumerate(zip(ours, theirs, strict=True)) if not np.array_equal(*pair)), None)


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
