"""The names of classes that a training split holds: their order, and what is wrong with them."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from replank.data.tables import Table
from replank.system.errors import DataError
from replank.tasks.kinds import Kind
from replank.tasks.kinds.cells import Cell, is_number
from replank.text.spelling import without_invisible, without_style

# With more different labels than this, a column is taken for one of labels only if they recur.
_MANY_LABELS = 200
_log = logging.getLogger(__name__)


@dataclass
class _Use:
    """How often a name occurs, and the line of the first time."""

    count: int
    line: int


_Uses = dict[str, _Use]


def label_names(
    kind: Kind, cells: list[Cell] | None, table: Table | None, column: str, given: tuple[str, ...] | None
) -> tuple[str, ...]:
    """The classes: those given, or those that the file of the training split declares, or those in it.

    The last are in an order that depends on the names alone: numbers by value, names by alphabet.

    :param cells: the label column of the training split, from ``table``; ``None`` if there is none.
    :raises DataError: they are not known; there is only one; there are so many that the column is hardly one of labels;
        or two look the same.
    """
    if table is None or cells is None:
        if given:
            return given
        raise DataError(
            "the labels are not known: there is no training split and the model names none",
            hint="give the `train` file, or `labels`, or evaluate a model that replank made",
        )
    uses = _uses(table, cells, kind)
    if len(uses) < 2:
        only = repr(next(iter(uses))) if uses else "none"
        raise DataError(f"{table.path} has only one label, {only}; there is nothing to learn")
    if declared := given or table.class_names.get(column):
        if len(uses) < len(declared):
            _log.warning("%s: %d of %d classes have no row", table.path, len(declared) - len(uses), len(declared))
        return declared
    _require_labels(table, uses)
    _require_visible_difference(table, uses)
    _tell_of_likenesses(table, uses)
    if kind.is_per_word and all(map(str.isdecimal, uses)):
        _log.warning(
            "%s: the labels of words are numbers, 0 to %d: without their names no entities are found; give them in "
            "order, such as `labels=O,B-PER,I-PER`",
            table.path,
            max(map(int, uses)),
        )
    if all(map(is_number, uses)):
        return tuple(sorted(uses, key=lambda name: (float(name), name)))
    return tuple(sorted(uses))


def _uses(table: Table, cells: list[Cell], kind: Kind) -> _Uses:
    uses: _Uses = {}
    for line, cell in zip(table.lines, cells, strict=True):
        for name in kind.label_names(cell):
            uses.setdefault(name, _Use(0, line)).count += 1
    return uses


def _require_labels(table: Table, uses: _Uses) -> None:
    """Refuse a column of texts, of keys or of measurements."""
    if len(uses) <= _MANY_LABELS:
        return
    numbers = all(map(is_number, uses))
    is_measured = numbers and not all(float(name).is_integer() for name in uses)
    rows = sum(use.count for use in uses.values())
    if is_measured or rows < 2 * len(uses):
        raise DataError(
            f"{table.path} has {len(uses)} different labels in {rows} rows; expected {_MANY_LABELS} at most, or "
            "classes that recur",
            hint="numbers are learnt with `task=regression`"
            if numbers
            else "is `label` the right column? If so, name the classes with `labels`",
        )


def _require_visible_difference(table: Table, uses: _Uses) -> None:
    for same in _alike(uses, without_invisible):
        raise DataError(
            f"{table.path}: {_told(table, uses, same)} differ only by blanks, invisible characters or Unicode form",
            hint="write them alike; if they are two classes, name all classes with `labels`",
        )
    for name, use in uses.items():
        if name != name.strip():
            _log.warning("%s: the label %r has blanks at its ends (%s)", table.path, name, _first(table, use))


def _tell_of_likenesses(table: Table, uses: _Uses) -> None:
    for same in _alike(uses, lambda name: float(name) if is_number(name) else without_style(name)):
        _log.warning("%s: are %s one class? They are learnt as %d", table.path, _told(table, uses, same), len(same))


def _alike(uses: _Uses, key: Callable[[str], Hashable]) -> list[list[str]]:
    """The groups of names with the same key, the most frequent name first."""
    groups: dict[Hashable, list[str]] = {}
    for name in sorted(uses, key=lambda name: (-uses[name].count, name)):
        groups.setdefault(key(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _told(table: Table, uses: _Uses, names: list[str]) -> str:
    # Of two forms of one letter, people see the same.
    show = ascii if len({unicodedata.normalize("NFC", name) for name in names}) < len(names) else repr
    return " and ".join(f"{show(name)} ({uses[name].count} times, {_first(table, uses[name])})" for name in names)


def _first(table: Table, use: _Use) -> str:
    return f"first on {table.where(use.line).removeprefix(f'{table.path}, ')}"
