"""The task that tables are of: its columns, metrics and length, from settings, a model, GLUE, or the tables."""

from __future__ import annotations

from collections.abc import Sequence

from replank.data.passages import PASSAGE, QUERY, QUERY_COLUMNS
from replank.data.settings import DataSettings
from replank.data.tables import Table
from replank.system.errors import DataError, FieldError, UsageError
from replank.tasks.glue import GlueTask
from replank.tasks.kinds import Kind
from replank.tasks.kinds.kind import AGREEMENT
from replank.tasks.retrieval import PASSAGE_METRICS
from replank.tasks.task import Task

_TEXT_GUESSES = ((QUERY, PASSAGE), ("sentence1", "sentence2"), ("sentence",), ("text",), ("tokens",), ("words",))


def task_of(
    config: DataSettings,
    kind: Kind,
    table: Table,
    labels: tuple[str, ...],
    label_column: str,
    glue: GlueTask | None,
    model: Task | None,
) -> Task:
    """Settings first, then the model, then GLUE, then what the data itself tells."""
    known_tasks = [known for known in (glue, model) if known]
    known_length = model.max_length if model else glue.max_length if glue else 128
    columns = _text_columns(config, kind, table, glue, model)
    query = _query_column(kind, table, columns)
    defaults = kind.default_metrics(labels) if query is None else tuple(PASSAGE_METRICS)
    metrics = next((known.metrics for known in known_tasks if known.kind == kind and known.metrics), defaults)
    # That a model was once judged without labels says nothing about rows that have some.
    if (metrics[0] in PASSAGE_METRICS) != (query is not None) or metrics[0] == AGREEMENT:
        metrics = defaults
    return Task(
        name=config.dataset or (model.name if model else "custom"),
        kind=kind,
        labels=labels,
        columns=columns,
        label_column=label_column,
        metrics=_with_headline(config.metric, metrics, kind, labels),
        max_length=config.max_length or known_length,
        label_separator=config.label_separator or (model.label_separator if model else None),
        thresholds=model.thresholds if model and model.kind == kind else None,
        query_column=query,
    )


def _query_column(kind: Kind, table: Table, columns: tuple[str, ...]) -> str | None:
    """The column by which passages are ranked, if they are: a query's id or, of rerankers, its text.

    :raises DataError: a reranker's rows have a single text.
    """
    if not kind.is_ranked and not kind.compares_pairs:
        return None
    if kind.is_ranked and len(columns) < 2:
        raise DataError(
            f"tasks of kind {kind} are of a query and a passage; {table.path} has the text column {columns[0]!r} only",
            hint="name both columns with `text` and `text_pair`",
        )
    named = next((name for name in QUERY_COLUMNS if name in table.columns), None)
    is_text = kind.is_ranked or columns == (QUERY, PASSAGE)
    return (named or (columns[0] if is_text else None)) if len(columns) == 2 else None


def _with_headline(
    metric: str | None, metrics: tuple[str, ...], kind: Kind, labels: tuple[str, ...]
) -> tuple[str, ...]:
    """The metrics with the one that was asked for in front.

    :raises FieldError: it says nothing about such a task.
    """
    if metric is None:
        return metrics
    possible = dict.fromkeys(name for name in (*metrics, *kind.possible_metrics(labels)) if name != AGREEMENT)
    if metric not in possible:
        raise FieldError("metric", metric, f"one of {', '.join(possible)}, for {kind.describe(labels)}")
    return (metric, *(name for name in metrics if name != metric))


def label_column_of(kind: Kind, table: Table, of_model: str | None) -> str:
    """The model's label column, else the first of the usual names; or, if a table has none, the name to miss it by."""
    names = (*([of_model] if of_model else ()), *kind.label_columns)
    return next((name for name in names if name in table.columns), of_model or kind.label_columns[-1])


def _text_columns(
    config: DataSettings, kind: Kind, table: Table, glue: GlueTask | None, model: Task | None
) -> tuple[str, ...]:
    if not (kind.takes_pairs or kind.compares_pairs) and config.text_pair is not None:
        raise UsageError(f"tasks of kind {kind} take single texts, not pairs")
    if config.text is not None and (not kind.labels_are_optional or config.text in table.columns):
        return (config.text, config.text_pair) if config.text_pair is not None else (config.text,)
    guesses = [model.columns] if model and model.columns else []
    guesses += [glue.hub_columns] if glue else []
    return guessed_columns(kind, table, guesses)


def guessed_columns(kind: Kind, table: Table, guesses: Sequence[tuple[str, ...]] = ()) -> tuple[str, ...]:
    """The text columns by the names that they may have, the likeliest first.

    :raises DataError: there are none of such names.
    """
    may_be_pair = kind.takes_pairs or kind.compares_pairs
    for guess in (*guesses, *_TEXT_GUESSES):
        if all(column in table.columns for column in guess) and (may_be_pair or len(guess) == 1):
            return guess
    raise DataError(
        f"cannot tell the text column of {table.path}; its columns are {', '.join(map(repr, table.columns))}",
        hint="name it with `text=COLUMN` (and `text_pair=COLUMN` for pairs)",
    )
