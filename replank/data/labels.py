"""Labels of a table: which there are, and each row's as the model counts it."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from replank.data.table_file import Value, plain_value, value_text
from replank.data.tables import Table
from replank.system.errors import DataError
from replank.tasks.kinds import Kind
from replank.tasks.kinds.cells import Cell, is_number, shown_names, single_value
from replank.tasks.task import Task

# What pandas reads as no value, and what str() makes of one (pandas.read_csv, `na_values`). A class of such a name, as
# `NA` for North America, is one where the names of all classes are known.
_NO_LABEL = frozenset({
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "NaT", "None", "n/a", "nan", "null",
})  # fmt: skip
# Numbers that stand for no label: GLUE's in a test split, and that of tokens which have no loss.
_NO_CLASS, _NO_LOSS = "-1", "-100"
_WHOLE_FLOAT = re.compile(r"-?\d+\.0+")
_LIST_AS_TEXT = re.compile(r"\s*\[.*\]\s*", re.DOTALL)
_log = logging.getLogger(__name__)

Cells = list[Cell | None]


@dataclass(frozen=True)
class Numbering:
    """The names of classes in the order in which files number them.

    :param source: who says so, for messages.
    """

    source: str
    names: tuple[str, ...]


def label_cells(
    tables: dict[str, Table], column: str, kind: Kind, known: Collection[str], may_lack: Collection[str] = ()
) -> dict[str, Cells | None]:
    """The label column of each split: in each row a label, the labels of words, or ``None`` for a row without.

    A split is ``None`` where there is nothing to read: a test split may have no labels; GLUE's has none, or -1.

    :param may_lack: further splits that may have none.
    :param known: the names of classes as far as they are known; they are names, whatever else they may stand for.
    :raises DataError: a value that can be no label; the message names file and line.
    """
    known = {*known, *(name for table in tables.values() for name in table.class_names.get(column, ()))}
    cells = {
        split: _split_cells(
            table, column, kind, known, may_lack=split in may_lack or split.startswith("test") or split == "ax"
        )
        for split, table in tables.items()
    }
    marks = _number_marks(cells.get("train") or [], known, kind) if kind.has_label_names else set()
    return {split: column and [_unless_marked(cell, marks, kind) for cell in column] for split, column in cells.items()}


def only_labelled(table: Table, cells: Cells, column: str, *, drop: bool, is_named: bool) -> tuple[Table, list[Cell]]:
    """The rows that have a label.

    :param drop: leave the others out; by default there must be none.
    :param is_named: whether labels are names, so that anything could be one.
    :raises DataError: a row has no label, or none has.
    """
    missing = {index for index, cell in enumerate(cells) if cell is None}
    values = table.column(column)
    if missing and not drop:
        first = min(missing)
        others = f"; so are {len(missing) - 1} more of {len(cells)} rows" if len(missing) > 1 else ""
        hint = "`drop_unlabelled=True` leaves out rows without a label"
        found = values[first]
        if is_named and isinstance(found, str) and found.strip():
            hint += f"; if {found!r} is a class, name all classes with `labels`"
        raise DataError(f"{table.where(table.lines[first])}: {_reason(found)}{others}", hint=hint)
    if len(missing) == len(cells):
        raise DataError(f"{table.path}: no row has a label in the column {column!r}")
    if missing:
        reasons = Counter(_reason(values[index]) for index in sorted(missing))
        told = "; ".join(f"{count}: {reason}" for reason, count in reasons.most_common(5))
        _log.info("%s: %d of %d rows have no label and are left out (%s)", table.path, len(missing), len(cells), told)
    return table.without(missing), [cell for cell in cells if cell is not None]


def word_cells(table: Table, column: str) -> list[list[str]]:
    """The words of each cell of a column: a list in JSONL and Parquet; else values with white space between.

    :raises DataError: a cell without words.
    """
    rows: list[list[str]] = []
    for line, value in zip(table.lines, table.column(column), strict=True):
        words = value.split() if isinstance(value, str) else value
        if not isinstance(words, list) or not words or not all(type(word) in (str, int) for word in words):
            raise DataError(
                f"{table.where(line)}: expected a list of words, found {_shown(value)}",
                hint="delete sentences without words",
            )
        rows.append([value_text(plain_value(word)) for word in words])
    return rows


def parse_labels(
    task: Task, table: Table, cells: list[Cell], texts: Sequence[str], numbering: Numbering | None
) -> NDArray[Any]:
    """The labels of a split, as :meth:`Kind.label_array` holds them.

    :param texts: the (first) texts of the rows.
    :param numbering: the names that numbers in the table may stand for.
    :raises DataError: a cell that is no label of the task; the message names file and line.
    """
    kind = task.kind
    index: dict[str, int] = {}
    hint = None
    if kind.has_label_names:
        rows = zip(table.lines, cells, strict=True)
        found = {name for line, cell in rows for name in _located(table, line, kind.label_names, cell)}
        index = _outputs(task, found, numbering)
        counts = {str(number) for number in range(len(task.labels))}
        if numbering is None and found <= counts and not found <= index.keys():
            hint = f"if the numbers count the model's labels, say so: `labels={','.join(task.labels)}`"
    return kind.label_array(
        [
            _located(table, line, kind.parse_label, cell, text, index, hint=hint)
            for line, cell, text in zip(table.lines, cells, texts, strict=True)
        ]
    )


def outputs_of_names(labels: Sequence[str], numbering: Numbering) -> list[int] | None:
    """A model's output for each name of a numbering; ``None`` if the names are not those of the model's labels.

    Case may differ. A model whose labels are the numbers from 0 has no names, and so the numbering's order.
    """
    names, ours = numbering.names, list(labels)
    if len(names) != len(ours):
        return None
    if ours == [str(number) for number in range(len(ours))]:
        return list(range(len(ours)))
    if set(names) != set(ours):
        names, ours = tuple(name.casefold() for name in names), [name.casefold() for name in ours]
    return [ours.index(name) for name in names] if sorted(names) == sorted(ours) else None


def _outputs(task: Task, found: Collection[str], numbering: Numbering | None) -> dict[str, int]:
    """The model's output for each label that a file may hold.

    Files number labels, or name them, as they please; a model may have them in any order.

    :raises DataError: the model's labels are not those of the numbering.
    """
    index = {name: number for number, name in enumerate(task.labels)}
    # A whole float of a file is read as an integer.
    index = {_whole(name): number for name, number in index.items()} | index
    if numbering is None or all(name in index for name in found):
        return index
    outputs = outputs_of_names(task.labels, numbering)
    if outputs is None:
        raise DataError(
            f"the model's labels are {shown_names(task.labels)}; those of {numbering.source} are "
            f"{shown_names(numbering.names)}",
            hint="is this the data of the task that the model was made for?",
        )
    index |= dict(zip(numbering.names, outputs, strict=True))
    if any(name in index or not name.isdecimal() for name in found):
        return index
    return {str(number): output for number, output in enumerate(outputs)}


def _split_cells(table: Table, column: str, kind: Kind, known: Collection[str], *, may_lack: bool) -> Cells | None:
    if not kind.has_labels:
        return None
    may_lack = may_lack or kind.labels_are_optional
    if may_lack and column not in table.columns:
        return None
    values = zip(table.lines, table.column(column), strict=True)
    cells = [_located(table, line, _cell, value, kind, known) for line, value in values]
    is_empty = all(cell is None or {_NO_CLASS, _NO_LOSS}.issuperset(kind.label_names(cell)) for cell in cells)
    return None if may_lack and is_empty else cells


def _number_marks(train: Cells, known: Collection[str], kind: Kind) -> set[str]:
    """Which of -1 and -100 stand for no label.

    Both do where the classes are known and none of them is called so; or where the other labels of the training split
    are names, or numbers from 0 on. Beside only one other label, -1 is a class.
    """
    marks = {_NO_CLASS, _NO_LOSS} - set(known)
    if known:
        return marks
    others = {name for cell in train if cell is not None for name in kind.label_names(cell)} - marks
    if any(is_number(name) and float(name) < 0 for name in others):
        return set()
    return marks if len(others) > 1 else {_NO_LOSS}


def _unless_marked(cell: Cell | None, marks: set[str], kind: Kind) -> Cell | None:
    return None if cell is None or not marks.isdisjoint(kind.label_names(cell)) else cell


def _cell(value: Value, kind: Kind, known: Collection[str]) -> Cell | None:
    if isinstance(value, dict):
        raise DataError(f"expected a label, found the object {_shown(value)}")
    if isinstance(value, str) and value not in known and _LIST_AS_TEXT.fullmatch(value):
        raise DataError(
            f"expected a label, found a list that is written as a text, {_shown(value)}",
            hint="lists are for .jsonl and .parquet; in .csv and .tsv words have spaces between, several labels of a "
            "text a `label_separator`, or a column of 0 and 1 each",
        )
    if kind.is_per_word or isinstance(value, list):
        items = value.split() if isinstance(value, str) else value or []
        names = [_name(_item(value, item), kind, known) for item in items]
        if kind.is_multi_label:
            return _all_named(value, names)
        if not kind.is_per_word:
            return single_value([str(name) for name in names])
        found = [name for name in names if name is not None]
        return found if names and len(found) == len(names) else None
    return _name(value, kind, known)


def _all_named(value: Value, names: list[str | None]) -> list[str]:
    """The labels of a list; an empty one says that none holds."""
    if None in names:
        raise DataError(f"a label is empty (null or NaN) in the list {_shown(value)}")
    return [name for name in names if name is not None]


def _item(value: Value, item: object) -> Value:
    if isinstance(item, bool | list | dict):
        raise DataError(f"expected a list of words or labels, found {_shown(value)}", hint="delete rows without any")
    return plain_value(item)


def _name(value: Value, kind: Kind, known: Collection[str]) -> str | None:
    if not isinstance(value, str) or value in known:
        return value if isinstance(value, str) else None
    if not value.strip() or value.strip() in _NO_LABEL:
        return None
    return _whole(value) if kind.has_label_names else value


def _whole(name: str) -> str:
    """A number as pandas writes it beside missing ones, 1.0, as it was: 1."""
    return str(int(name.split(".")[0])) if _WHOLE_FLOAT.fullmatch(name) else name


def _reason(value: Value) -> str:
    text = value_text(value).strip()
    if value is None:
        return "the label is empty (null, NaN or no key)"
    if not text or value == []:
        return "the label is empty"
    if isinstance(value, list) or len(text.split()) > 1:
        return f"a word has no label in {_shown(value)}"
    return f"the label {text!r} stands for none"


def _shown(value: Value) -> str:
    text = value_text(value)
    return "none" if value is None else repr(text if len(text) <= 40 else f"{text[:40]}…")


def _located(table: Table, line: int, function: Any, *arguments: Any, hint: str | None = None) -> Any:
    """The function's result; its error says where in the file.

    :param hint: a better one than the error's.
    """
    try:
        return function(*arguments)
    except DataError as error:
        raise DataError(f"{table.where(line)}: {error.message}", hint=hint or error.hint) from None
