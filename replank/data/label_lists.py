"""Several labels a row, as tables write them: a list, a text with separators, or a column of 0 and 1 for each label."""

from __future__ import annotations

import logging
from dataclasses import replace

from replank.data.table_file import Value, value_text
from replank.data.tables import Table
from replank.system.errors import DataError

# What stands for no label where a column holds 0 or 1; -1 as in test splits whose labels were never published.
_NONE = frozenset({"", "-1", "nan", "null", "none", "na", "n/a"})
_NO, _YES = frozenset({"0", "0.0", "false"}), frozenset({"1", "1.0", "true"})
_USUAL_SEPARATORS = ",;|"
_log = logging.getLogger(__name__)


def column_names(label_column: str, table: Table) -> tuple[str, ...] | None:
    """The columns of 0 and 1 that a label column such as ``toxic,insult`` names; ``None`` of a single column."""
    if "," not in label_column or label_column in table.columns:
        return None
    return tuple(name.strip() for name in label_column.split(","))


def with_lists(table: Table, column: str, separator: str | None, known: frozenset[str]) -> Table:
    """The table with lists of labels in its label column, whichever way it writes them.

    A value that stands for no label stays as it is, for the reader of labels to refuse; an empty text between
    separators, and a row of zeros, is an empty list: none of the labels holds.

    :param column: one column, or several with commas between.
    :param separator: the characters between labels where one value holds several; ``None``: it holds one.
    :param known: the names of labels as far as they are known.
    :raises DataError: the values are of several forms, or of none; the message names file and line.
    """
    columns = column_names(column, table)
    if columns and not set(columns).isdisjoint(table.columns):
        values = _of_columns(table, columns)
        table = replace(table, columns=(*table.columns, column), rows=[(*row, None) for row in table.rows])
    elif columns or column not in table.columns:
        return table  # the reader of labels says what is missing
    else:
        values = [
            _split(table, line, value, separator, known)
            for line, value in zip(table.lines, table.column(column), strict=True)
        ]
        _require_one_form(table, column)
    if empty := sum(value == [] for value in values):
        _log.info("%s: in %d of %d rows none of the labels holds", table.path, empty, len(values))
    place = table.columns.index(column)
    return replace(
        table,
        rows=[(*row[:place], value, *row[place + 1 :]) for row, value in zip(table.rows, values, strict=True)],
    )


def _of_columns(table: Table, columns: tuple[str, ...]) -> list[Value]:
    cells = [table.column(name) for name in columns]
    return [
        _of_row(table, line, dict(zip(columns, row, strict=True)))
        for line, row in zip(table.lines, zip(*cells, strict=True), strict=True)
    ]


def _of_row(table: Table, line: int, row: dict[str, Value]) -> Value:
    texts = {name: value_text(value).strip().casefold() for name, value in row.items()}
    if _NONE.issuperset(texts.values()):
        return None
    for name, text in texts.items():
        if text not in _NO | _YES:
            raise DataError(
                f"{table.where(line)}: expected 0 or 1 in the column {name!r}, found {value_text(row[name])!r:.40}"
            )
    return [name for name, text in texts.items() if text in _YES]


def _split(table: Table, line: int, value: Value, separator: str | None, known: frozenset[str]) -> Value:
    if not isinstance(value, str) or value in known:
        return value
    if separator is not None:
        if value.strip().casefold() in _NONE - {""}:
            return value
        return [part.strip() for part in value.split(separator)] if value.strip() else []
    found = next((mark for mark in _USUAL_SEPARATORS if mark in value), None)
    if found and not value.lstrip().startswith("["):
        raise DataError(
            f"{table.where(line)}: the label {value!r:.40} holds {found!r}",
            hint=f"if it is several labels, say `label_separator={found!r}`; if it is one, name all with `labels`",
        )
    return value


def _require_one_form(table: Table, column: str) -> None:
    """Refuse a column with a text in one row and a list in another."""
    lines: dict[type, int] = {}
    for line, value in zip(table.lines, table.column(column), strict=True):
        if value is not None:
            lines.setdefault(type(value), line)
    if len(lines) > 1:
        (first, line), (_, other), *_ = lines.items()
        form, others = ("a list", "none") if first is list else ("no list", "one")
        raise DataError(
            f"{table.where(other)}: the labels are {others}, and those of line {line} are {form}",
            hint="write the labels of all rows alike: lists, even of one label or none, or texts",
        )
