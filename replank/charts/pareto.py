"""The Pareto front of a cost and a quality."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def pareto_front(items: Iterable[Item], cost: Callable[[Item], float], quality: Callable[[Item], float]) -> list[Item]:
    """The items that no other one dominates: is at least as good in both, and better in one. The cheapest come first.

    Of items that are equal in both, all are on the front, in their given order.
    """
    items = list(items)

    def dominates(one: Item, other: Item) -> bool:
        ours, theirs = (cost(one), -quality(one)), (cost(other), -quality(other))
        return ours != theirs and ours[0] <= theirs[0] and ours[1] <= theirs[1]

    return sorted((item for item in items if not any(dominates(other, item) for other in items)), key=cost)
