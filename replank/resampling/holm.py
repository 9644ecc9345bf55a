"""Holm's correction of several p-values."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """P-values that hold for all comparisons at once (Holm, 1979): below 0.05, at most 5 % chance of any false one.

    :returns: in the order given, each at most 1 and none smaller than it was.
    """
    adjusted: dict[Name, float] = {}
    largest = 0.0
    for done, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}
