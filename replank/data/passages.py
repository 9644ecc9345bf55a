"""Passages that are ranked for a query: rows of a table, or lists in one row for each query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.data.table_file import Value, plain_value, value_text
from replank.data.tables import Table
from replank.system.errors import DataError

# Names of the column that tells queries from each other, and of the texts.
QUERY_COLUMNS = ("query_id", "qid")
QUERY, PASSAGE, LABEL = "query", "passage", "label"
_LISTS = {"passages": None, "positive": "1", "negative": "0"}
_LISTED_LABELS = ("labels", "label")
# Of one row; more are a mistake, such as a whole corpus for each query.
_MOST_PASSAGES = 10_000


def with_passages_in_rows(table: Table) -> Table:
    """A table with a row for each passage; one that has no lists of passages is left as it is.

    A row may hold a ``query`` with its ``passages``, a list of texts, and ``labels``, a list as long; or with
    ``positive`` and ``negative`` passages, as sentence-transformers evaluates rerankers with.

    :raises DataError: a query without passages, with other than texts, with labels of another number, or with too many.
    """
    if QUERY not in table.columns or not any(name in table.columns for name in _LISTS):
        return table
    has_labels = "passages" not in table.columns or any(name in table.columns for name in _LISTED_LABELS)
    columns = (QUERY_COLUMNS[0], QUERY, PASSAGE, *((LABEL,) if has_labels else ()))
    rows: list[tuple[Value, ...]] = []
    lines: list[int] = []
    for number, (line, row) in enumerate(zip(table.lines, table.rows, strict=True)):
        values = dict(zip(table.columns, row, strict=True))
        passages = _passages(table.where(line), values)
        rows += [(str(number), values[QUERY], text, label)[: len(columns)] for text, label in passages]
        lines += [line] * len(passages)
    return replace(table, columns=columns, rows=rows, lines=lines)


def query_numbers(table: Table, column: str) -> NDArray[np.int64]:
    """The number of each row's query, shape ``(rows,)``; queries are numbered in the order in which they first come.

    :raises DataError: a row has no query.
    """
    numbers: dict[str, int] = {}
    found = []
    for line, value in zip(table.lines, table.column(column), strict=True):
        name = value_text(value)
        if not name.strip():
            raise DataError(f"{table.where(line)}: the query in the column {column!r} is empty")
        found.append(numbers.setdefault(name, len(numbers)))
    return np.array(found, dtype=np.int64)


def _passages(where: str, values: dict[str, Value]) -> list[tuple[str, Value]]:
    """The passages of a row with their labels."""
    found: list[tuple[str, Value]] = []
    for name, label in _LISTS.items():
        if values.get(name) is None:
            continue
        texts = values[name]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise DataError(f"{where}: expected a list of texts in {name!r}, found {value_text(texts)[:40]!r}")
        labels = _labels(where, values, len(texts)) if label is None else [label] * len(texts)
        found += zip((value_text(plain_value(text)) for text in texts), labels, strict=True)
    if not found:
        raise DataError(f"{where}: the query has no passages", hint="delete the row")
    if len(found) > _MOST_PASSAGES:
        raise DataError(f"{where}: the query has {len(found)} passages; at most {_MOST_PASSAGES} are ranked together")
    return found


def _labels(where: str, values: dict[str, Value], passages: int) -> Sequence[Value]:
    labels: Any = next((values[name] for name in _LISTED_LABELS if values.get(name) is not None), None)
    if labels is None:
        return [None] * passages
    if not isinstance(labels, list) or len(labels) != passages:
        count = f"{len(labels)} labels" if isinstance(labels, list) else "no list of labels"
        raise DataError(f"{where}: {count} for {passages} passages")
    return [plain_value(label) for label in labels]
