"""Labelled examples: from the hub's GLUE, from a folder of splits, or from single files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank import hub
from replank.errors import DataError, UsageError
from replank.tables import SUFFIXES, Table, read_table
from replank.tasks import GLUE, GlueTask, Kind, Task, custom_metrics, glue_task

SPLITS = ("train", "dev", "test")
_TEXT_GUESSES = (("sentence1", "sentence2"), ("sentence",), ("text",))
_MANY_LABELS = 200


@dataclass(frozen=True)
class Examples:
    """The rows of one split.

    :param first: the texts, or the first texts of pairs.
    :param second: the second texts of pairs, else ``None``.
    :param labels: shape ``(rows,)``: label indices (int64) or numbers (float32); ``None`` for an unlabelled split.
    """

    first: Sequence[str]
    second: Sequence[str] | None
    labels: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.first)

    def head(self, rows: int) -> Examples:
        """The first rows."""
        return Examples(
            self.first[:rows],
            None if self.second is None else self.second[:rows],
            None if self.labels is None else self.labels[:rows],
        )

    @cached_property
    def digest(self) -> str:
        """A sha256 over texts and labels: two runs that saw the same data have the same."""
        labels = None if self.labels is None else self.labels.tolist()
        content = json.dumps([list(self.first), self.second and list(self.second), labels])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A task and its splits."""

    task: Task
    splits: dict[str, Examples]

    def split(self, name: str) -> Examples:
        """One split.

        :raises DataError: the data has no such split; the message says which it has.
        """
        if name not in self.splits:
            raise DataError(
                f"the data has no {name!r} split; it has {', '.join(self.splits)}",
                hint=f"add --{name} FILE, or {name}.tsv to the folder",
            )
        return self.splits[name]

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each split."""
        return {name: split.digest for name, split in self.splits.items()}

    @property
    def held_out(self) -> str:
        """The split that quality is reported on: ``test`` if it has labels, for no choice is made on it."""
        test = self.splits.get("test")
        return "test" if test is not None and test.labels is not None else "dev"


@dataclass(frozen=True)
class DataConfig:
    """Where examples come from. Field for field the data flags of the command line.

    :param task: one of GLUE's names, or any name for the user's own data.
    :param data: a folder with ``train``, ``dev`` and perhaps ``test`` as .tsv, .csv or .jsonl.
    :param train: file of the training split; ``dev`` and ``test`` likewise.
    :param text: the text column, or the first of a pair.
    :param text_pair: the second text column of a pair.
    :param label: the label column; ``None`` means ``label``.
    :param kind: what the label is; ``None`` leaves it to the task (classification unless GLUE says otherwise).
    :param max_length: tokens to truncate to; ``None`` leaves it to the task (128 unless GLUE says otherwise).
    """

    task: str | None = None
    data: Path | None = None
    train: Path | None = None
    dev: Path | None = None
    test: Path | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    kind: Kind | None = None
    max_length: int | None = None

    def __post_init__(self) -> None:
        files = [self.train, self.dev, self.test]
        if self.data is not None and any(files):
            raise UsageError("--data FOLDER and single files (--train, --dev, --test) exclude each other")
        if self.task is None and self.data is None and not any(files):
            raise UsageError(
                "no data given",
                hint="--task NAME (GLUE), --task NAME --data FOLDER, or --train FILE --dev FILE --text COLUMN",
            )
        if self.task is not None and self.data is None and not any(files):
            glue_task(self.task)
        if self.text_pair is not None and self.text is None:
            raise UsageError("--text-pair needs --text as well")
        if self.max_length is not None and self.max_length < 4:
            raise UsageError(f"--max-length is {self.max_length}; expected 4 or more")

    def load(self, model: Task | None = None) -> Dataset:
        """Read everything.

        :param model: the task of an existing model: its labels hold, and its name, columns, kind, metrics and length do
            where this configuration says nothing. Without one, labels are the task's, else the training split's.
        :raises DataError: a file cannot be read, a column is missing, or a label is unknown.
        :raises HubError: the data set must come from the hub, which cannot be reached.
        """
        if self.data is None and not (self.train or self.dev or self.test):
            return _assemble(self, hub.load_glue(str(self.task)), model)
        return _assemble(self, {split: read_table(path) for split, path in self._files().items()}, model)

    def _files(self) -> dict[str, Path]:
        if self.data is None:
            given = {"train": self.train, "dev": self.dev, "test": self.test}
            return {split: path for split, path in given.items() if path is not None}
        if not self.data.is_dir():
            raise DataError(f"there is no folder {self.data}")
        found: dict[str, Path] = {}
        for path in (self.data / f"{split}{suffix}" for split in SPLITS for suffix in SUFFIXES):
            if path.is_file() and path.stem in found:
                raise DataError(f"{self.data} holds both {found[path.stem].name} and {path.name}; which is it?")
            if path.is_file():
                found[path.stem] = path
        if not found:
            raise DataError(
                f"{self.data} holds no train, dev or test file",
                hint=f"expected names such as train.tsv; the suffix is one of {', '.join(SUFFIXES)}",
            )
        return found


def _assemble(config: DataConfig, tables: dict[str, Table], model: Task | None) -> Dataset:
    glue = GLUE.get(config.task or "")
    if model and glue and (model.kind, len(model.labels)) != (glue.kind, len(glue.labels)):
        model = None  # of another task than the one named: whoever compares the two will say so
    label_column = config.label or (model.label_column if model else "label")
    raw = {split: _raw_labels(table, label_column, split) for split, table in tables.items()}
    task = _task(config, tables, raw, label_column, glue, model)
    if len({*task.columns, label_column}) <= len(task.columns):
        raise UsageError(f"one column is used twice: {', '.join((*task.columns, label_column))}")
    splits = {}
    for split, table in tables.items():
        texts = [table.column(column) for column in task.columns]
        values = raw[split]
        labels = None if values is None else _parse_labels(task, table, values)
        splits[split] = Examples(texts[0], texts[1] if task.is_pair else None, labels)
    return Dataset(task, splits)


def _task(
    config: DataConfig,
    tables: dict[str, Table],
    raw: dict[str, list[str] | None],
    label_column: str,
    glue: GlueTask | None,
    model: Task | None,
) -> Task:
    """Flags first, then the model, then GLUE, then what the data itself tells."""
    kind: Kind = config.kind or (model.kind if model else glue.kind if glue else "classification")
    labels: tuple[str, ...] = ()
    if kind == "classification":
        labels = (model.labels if model else ()) or (glue.labels if glue else ()) or _label_names(raw, tables)
    known_length = model.max_length if model else glue.max_length if glue else 128
    return Task(
        name=config.task or (model.name if model else "custom"),
        kind=kind,
        labels=labels,
        columns=_text_columns(config, next(iter(tables.values())), glue, model),
        label_column=label_column,
        metrics=next((known.metrics for known in (glue, model) if known and known.kind == kind), custom_metrics(kind)),
        max_length=config.max_length or known_length,
    )


def _text_columns(config: DataConfig, table: Table, glue: GlueTask | None, model: Task | None) -> tuple[str, ...]:
    if config.text is not None:
        return (config.text, config.text_pair) if config.text_pair is not None else (config.text,)
    guesses = [model.columns] if model and model.columns else []
    guesses += [glue.hub_columns] if glue else []
    for guess in (*guesses, *_TEXT_GUESSES):
        if all(column in table.columns for column in guess):
            return guess
    raise DataError(
        f"cannot tell the text column of {table.path}; its columns are {', '.join(map(repr, table.columns))}",
        hint="name it with --text COLUMN (and --text-pair COLUMN for pairs)",
    )


def _raw_labels(table: Table, column: str, split: str) -> list[str] | None:
    """The label column as text; ``None`` for a test split without labels (GLUE's has none, or -1)."""
    if split == "test" and (column not in table.columns or set(table.column(column)) <= {"-1", ""}):
        return None
    return table.column(column)


def _label_names(raw: dict[str, list[str] | None], tables: dict[str, Table]) -> tuple[str, ...]:
    """The distinct labels of the training split: numbers by value, names by alphabet."""
    values = raw.get("train")
    if values is None:
        raise DataError(
            "the labels are not known: there is no training split and the model names none",
            hint="add --train FILE, or evaluate a model that replank made",
        )
    names = set(values)
    if "" in names:
        table = tables["train"]
        raise DataError(f"{table.path}, line {table.lines[values.index('')]}: the label is empty")
    if len(names) < 2:
        raise DataError(f"{tables['train'].path} has only one label, {values[0]!r}; there is nothing to learn")
    if len(names) > _MANY_LABELS:
        numbers = all(_is_number(name) for name in names)
        raise DataError(
            f"{tables['train'].path} has {len(names)} different labels; expected {_MANY_LABELS} at most",
            hint="numbers are learnt with --kind regression" if numbers else "is --label the right column?",
        )
    return tuple(sorted(names, key=float) if all(map(_is_number, names)) else sorted(names))


def _parse_labels(task: Task, table: Table, values: list[str]) -> NDArray[Any]:
    if task.kind == "regression":
        return np.array([_parse_number(table, row, value) for row, value in enumerate(values)], dtype=np.float32)
    index = {name: number for number, name in enumerate(task.labels)}
    if not set(values) <= index.keys() and set(values) <= {str(number) for number in index.values()}:
        # GLUE's files write indices where the task has names.
        index = {str(number): number for number in index.values()}
    for row, value in enumerate(values):
        if value not in index:
            raise DataError(
                f"{table.path}, line {table.lines[row]}: label {value!r} is not one of {', '.join(task.labels)}",
                hint="every label must occur in the training split" if value else "the label is empty",
            )
    return np.array([index[value] for value in values], dtype=np.int64)


def _parse_number(table: Table, row: int, value: str) -> float:
    if not _is_number(value):
        raise DataError(f"{table.path}, line {table.lines[row]}: expected a finite number as label, found {value!r}")
    return float(value)


def _is_number(value: str) -> bool:
    """Whether the text is a finite number; labels are kept in 32 bits."""
    try:
        return abs(float(value)) <= float(np.finfo(np.float32).max)
    except ValueError:
        return False
