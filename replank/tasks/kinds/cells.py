"""Labels as files have them, and what is said of one that is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np

from replank.system.errors import DataError
from replank.text.spelling import without_style

# A label as a file has it: a text, or a list where the file can hold lists.
Cell = str | list[str]
_SHOWN_NAMES = 12


def single_value(cell: Cell) -> str:
    """The text of a cell that must hold one value.

    :raises DataError: it is a list.
    """
    if isinstance(cell, list):
        raise DataError(
            f"expected one label, found a list of labels, {shown_names(cell)}",
            hint="`task=multi-label` takes any number of labels a text, `task=token-classification` one for each word",
        )
    return cell


def finite_number(cell: Cell) -> float:
    """The number in a cell.

    :raises DataError: it is none, or not finite.
    """
    value = single_value(cell)
    if not is_number(value):
        raise DataError(f"expected a finite number as label, found {value!r}")
    return float(value)


def look_up(name: str, index: Mapping[str, int]) -> int:
    """The model's output for a label.

    :raises DataError: the label is unknown.
    """
    if name not in index:
        plain = {without_style(known): known for known in index}
        key = without_style(name)
        near = get_close_matches(key, plain, n=1)
        raise DataError(
            f"label {name!r} is not one of {shown_names(list(index))}",
            hint=f"is it {plain[key]!r}, in another spelling?"
            if key in plain
            else f"did you mean {plain[near[0]]!r}?"
            if near
            else "every label must occur in the training split or among `labels`",
        )
    return index[name]


def shown_names(names: Sequence[str]) -> str:
    """Names in a message, the first ones of many."""
    if len(names) <= _SHOWN_NAMES:
        return ", ".join(names) or "none"
    return f"{', '.join(names[:_SHOWN_NAMES])} and {len(names) - _SHOWN_NAMES} more"


def is_number(value: str) -> bool:
    """Whether a text is a finite number; labels are kept in 32 bits."""
    try:
        return abs(float(value)) <= float(np.finfo(np.float32).max)
    except ValueError:
        return False
