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

from replank.data import glue as hub
from replank.data.labels import label_names, parse_labels, raw_labels, word_lists
from replank.data.tables import SUFFIXES, Table, read_table
from replank.system.errors import DataError, UsageError
from replank.tasks.task import GLUE, GlueTask, Kind, Task, custom_metrics, glue_task
from replank.text.words import join_words

SPLITS = ("train", "dev", "test", "dev_mismatched", "test_mismatched", "ax")
# MNLI's splits as GLUE's own files name them.
_OTHER_NAMES = {"dev_matched": "dev", "test_matched": "test"}
_TEXT_GUESSES = (("sentence1", "sentence2"), ("sentence",), ("text",), ("tokens",), ("words",))
_SINGLE = ("token-classification", "masked-lm")
_WORD_LABEL_GUESSES = ("ner_tags", "tags", "labels")


@dataclass(frozen=True)
class Examples:
    """The rows of one split.

    :param first: the texts, or the first texts of pairs.
    :param second: the second texts of pairs, else ``None``.
    :param labels: shape ``(rows,)``: label indices (int64), numbers (float32), or for each row an array of the label
        indices of its words; ``None`` for an unlabelled split.
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
        labels = None if self.labels is None else [np.asarray(label).tolist() for label in self.labels]
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
    def also_held_out(self) -> str | None:
        """MNLI's other split of the same sort, of genres that it was not trained on; if it is there, with labels."""
        other = self.splits.get(f"{self.held_out}_mismatched")
        return f"{self.held_out}_mismatched" if other is not None and other.labels is not None else None

    @property
    def held_out(self) -> str:
        """The split that quality is reported on: ``test`` if it has labels, for no choice is made on it."""
        test = self.splits.get("test")
        return "test" if test is not None and test.labels is not None else "dev"


@dataclass(frozen=True)
class DataConfig:
    """Where examples come from. Field for field the data flags of the command line.

    :param task: one of GLUE's names, or any name for the user's own data.
    :param data: a folder with ``train``, ``dev`` and perhaps ``test`` as .tsv, .csv or .jsonl; of MNLI also
        ``dev_mismatched``, ``test_mismatched`` and the diagnostics ``ax``.
    :param train: file of the training split; ``dev`` and ``test`` likewise.
    :param text: the text column, or the first of a pair.
    :param text_pair: the second text column of a pair.
    :param label: the label column; ``None`` means ``label``; of words also ``tags`` and ``ner_tags``.
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
        if model and model.kind == "masked-lm" and self.kind != model.kind:
            model = None  # a pretrained encoder: what it was pretrained on is not what these labels ask
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
        for path in (self.data / f"{name}{suffix}" for name in (*SPLITS, *_OTHER_NAMES) for suffix in SUFFIXES):
            split = _OTHER_NAMES.get(path.stem, path.stem)
            if path.is_file() and split in found:
                raise DataError(f"{self.data} holds both {found[split].name} and {path.name}; which is it?")
            if path.is_file():
                found[split] = path
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
    kind: Kind = config.kind or (model.kind if model else glue.kind if glue else "classification")
    label_column = config.label or (model.label_column if model else _label_column(kind, next(iter(tables.values()))))
    raw = {split: raw_labels(table, label_column, split, kind) for split, table in tables.items()}
    task = _task(config, kind, tables, raw, label_column, glue, model)
    if kind != "masked-lm" and len({*task.columns, label_column}) <= len(task.columns):
        raise UsageError(f"one column is used twice: {', '.join((*task.columns, label_column))}")
    splits = {}
    for split, table in tables.items():
        texts = [table.column(column) for column in task.columns]
        if kind == "token-classification":
            texts = [[join_words(words) for words in word_lists(table, texts[0])]]
        values = raw[split]
        labels = None if values is None else parse_labels(task, table, values, texts[0])
        splits[split] = Examples(texts[0], texts[1] if task.is_pair else None, labels)
    return Dataset(task, splits)


def _task(
    config: DataConfig,
    kind: Kind,
    tables: dict[str, Table],
    raw: dict[str, list[str] | None],
    label_column: str,
    glue: GlueTask | None,
    model: Task | None,
) -> Task:
    """Flags first, then the model, then GLUE, then what the data itself tells."""
    labels: tuple[str, ...] = ()
    if kind in ("classification", "token-classification"):
        known_labels = (model.labels if model and model.kind == kind else ()) or (glue.labels if glue else ())
        labels = known_labels or label_names(kind, raw.get("train"), tables.get("train"))
    known_tasks = [known for known in (glue, model) if known]
    known_length = model.max_length if model else glue.max_length if glue else 128
    return Task(
        name=config.task or (model.name if model else "custom"),
        kind=kind,
        labels=labels,
        columns=_text_columns(config, kind, next(iter(tables.values())), glue, model),
        label_column=label_column,
        metrics=next((known.metrics for known in known_tasks if known.kind == kind), custom_metrics(kind, labels)),
        max_length=config.max_length or known_length,
    )


def _label_column(kind: Kind, table: Table) -> str:
    guesses = _WORD_LABEL_GUESSES if kind == "token-classification" else ()
    return next((name for name in guesses if name in table.columns), "label")


def _text_columns(
    config: DataConfig, kind: Kind, table: Table, glue: GlueTask | None, model: Task | None
) -> tuple[str, ...]:
    if kind in _SINGLE and config.text_pair is not None:
        raise UsageError(f"--kind {kind} takes single texts, not pairs")
    if config.text is not None:
        return (config.text, config.text_pair) if config.text_pair is not None else (config.text,)
    guesses = [model.columns] if model and model.columns else []
    guesses += [glue.hub_columns] if glue else []
    for guess in (*guesses, *_TEXT_GUESSES):
        if all(column in table.columns for column in guess) and not (kind in _SINGLE and len(guess) > 1):
            return guess
    raise DataError(
        f"cannot tell the text column of {table.path}; its columns are {', '.join(map(repr, table.columns))}",
        hint="name it with --text COLUMN (and --text-pair COLUMN for pairs)",
    )
