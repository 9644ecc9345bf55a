"""A data set put together of tables: its kind, its labels, and the examples of each split."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from replank.data.examples import Dataset, Examples
from replank.data.label_lists import column_names, with_lists
from replank.data.label_names import label_names
from replank.data.labels import (
    Numbering,
    label_cells,
    only_labelled,
    outputs_of_names,
    parse_labels,
    word_cells,
)
from replank.data.passages import query_numbers
from replank.data.settings import DataSettings
from replank.data.tables import Table, read_table
from replank.data.task_of_tables import guessed_columns, label_column_of, task_of
from replank.system.errors import DataError, FieldError, UsageError
from replank.tasks.glue import GLUE, GlueTask
from replank.tasks.kinds import KINDS, Kind
from replank.tasks.kinds.cells import Cell, shown_names
from replank.tasks.task import Task
from replank.text.words import join_words


def assemble(
    config: DataSettings, tables: dict[str, Table], model: Task | None, may_lack: Collection[str] = ()
) -> Dataset:
    """The data set.

    :param may_lack: splits that may have no labels, beside those of any test.
    """
    glue = GLUE.get(config.dataset or "")
    if model and glue and not model.gives_vectors and (model.kind, len(model.labels)) != (glue.kind, len(glue.labels)):
        model = None  # of another task than the one named: whoever compares the two will say so
    first = next(iter(tables.values()))
    several = config.label_separator is not None or (config.label and column_names(config.label, first))
    kind = _kind(config, KINDS["multi-label" if several else "classification"], glue, model)
    scored = _scored_table(kind, tables)
    of_model = model.label_column if model and not model.gives_vectors else None
    label_column = config.label or label_column_of(kind, scored, of_model)
    known = {*(config.labels or ()), *(model.labels if model else ()), *(glue.labels if glue else ())}
    separator = config.label_separator or (model.label_separator if model else None)
    columns = column_names(label_column, first) if kind.is_multi_label else None
    if several and not kind.is_multi_label:
        raise UsageError(f"tasks of kind {kind} have one label a text", hint="`task=multi-label` takes several")
    if kind.is_multi_label:
        tables = {name: with_lists(table, label_column, separator, frozenset(known)) for name, table in tables.items()}
    cells: dict[str, list[Cell] | None] = {}
    for split, column in label_cells(tables, label_column, kind, known, may_lack).items():
        cells[split] = None
        if column is not None:
            tables[split], cells[split] = only_labelled(
                tables[split], column, label_column, drop=config.drop_unlabelled, is_named=kind.has_label_names
            )
    labels = _labels(config, kind, tables, cells, label_column, columns, glue, model)
    if columns and set(columns) != set(labels):
        raise DataError(f"the label columns are {shown_names(columns)}; the labels are {shown_names(labels)}")
    task = task_of(config, kind, scored, labels, label_column, glue, model)
    used = (*task.columns, *(columns or [label_column]))
    if kind.has_labels and len(set(used)) < len(used):
        raise UsageError(f"one column is used twice: {', '.join(used)}")
    numbering = _numbering(config, task)
    return Dataset(task, {split: _examples(task, table, cells[split], numbering) for split, table in tables.items()})


def _kind(config: DataSettings, usual: Kind, glue: GlueTask | None, model: Task | None) -> Kind:
    """The kind that is asked for; else the model's, the data set's, or the usual one.

    Whatever way a model makes its vectors in, data scores them as those of whole texts.
    """
    if model and model.gives_vectors:
        return KINDS["sentence-embedding"]
    return config.kind or (model.kind if model else glue.kind if glue else usual)


def _scored_table(kind: Kind, tables: dict[str, Table]) -> Table:
    """The table whose columns are the task's: the first, unless training needs no labels, and scores alone do."""
    splits = ("test", "dev") if kind.labels_are_optional else ()
    return next((tables[split] for split in splits if split in tables), next(iter(tables.values())))


def unlabelled_examples(task: Task, path: str | os.PathLike[str]) -> Examples:
    """The texts of a file without labels, for a task.

    :raises DataError: the file cannot be read, has no such columns, or no row.
    """
    examples = _examples(task, read_table(Path(path)), None, None)
    if not len(examples):
        raise DataError(f"{path} holds no texts")
    return examples


def _labels(
    config: DataSettings,
    kind: Kind,
    tables: dict[str, Table],
    cells: dict[str, list[Cell] | None],
    label_column: str,
    columns: tuple[str, ...] | None,
    glue: GlueTask | None,
    model: Task | None,
) -> tuple[str, ...]:
    """The model's classes; else those of the settings, of GLUE, of the label columns, or of the training split."""
    if not kind.has_label_names:
        if config.labels:
            raise UsageError(f"`labels` names classes, and tasks of kind {kind} have none")
        return ()
    if model and model.kind == kind and model.labels:
        return model.labels
    if glue and glue.labels and not config.labels:
        return glue.labels
    return label_names(kind, cells.get("train"), tables.get("train"), label_column, config.labels or columns)


def _numbering(config: DataSettings, task: Task) -> Numbering | None:
    """The names that a file's numbers may stand for: those that were given, or GLUE's.

    :raises UsageError: those that were given are not the model's.
    """
    if not task.kind.has_label_names:
        return None
    if config.labels is not None:
        numbering = Numbering("`labels`", config.labels)
        if outputs_of_names(task.labels, numbering) is None:
            raise FieldError("labels", config.labels, f"the model's labels: {shown_names(task.labels)}")
        return numbering
    return Numbering(task.name, GLUE[task.name].labels) if task.name in GLUE else None


def _examples(task: Task, table: Table, cells: list[Cell] | None, numbering: Numbering | None) -> Examples:
    columns = task.columns
    if task.kind.labels_are_optional and not set(columns) <= set(table.columns):
        columns = guessed_columns(task.kind, table)  # texts to learn from need not be those that are scored
    if task.kind.is_per_word:
        texts = [[join_words(words) for words in word_cells(table, columns[0])]]
    else:
        texts = [table.texts(column) for column in columns]
    declared = table.class_names.get(task.label_column)
    if numbering is None and declared:
        numbering = Numbering(str(table.path), declared)
    labels = None if cells is None else parse_labels(task, table, cells, texts[0], numbering)
    has_queries = task.query_column is not None and labels is not None
    queries = query_numbers(table, str(task.query_column)) if has_queries else None
    return Examples(texts[0], texts[1] if len(columns) == 2 else None, labels, queries=queries)
