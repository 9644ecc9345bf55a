"""The Pareto front."""

from __future__ import annotations

from replank.charts.pareto import pareto_front

Item = tuple[float, float]


def front(*items: Item) -> list[Item]:
    return pareto_front(items, lambda item: item[0], lambda item: item[1])


def test_the_front_is_what_no_other_dominates() -> None:
    assert front((10, 0.9), (6, 0.7), (5, 0.7), (1, 0.5)) == [(1, 0.5), (5, 0.7), (10, 0.9)]
    assert front((6, 0.7)) == [(6, 0.7)]
    assert front() == []


def test_equals_are_all_on_it() -> None:
    assert front((5, 0.7), (5, 0.7), (5, 0.6)) == [(5, 0.7), (5, 0.7)]
    named = [("b", 5), ("a", 5)]
    assert pareto_front(named, lambda item: item[1], lambda item: 0.0) == named


def test_unknown_costs_are_compared_by_quality() -> None:
    infinite = float("inf")
    assert front((infinite, 0.7), (infinite, 0.8), (3, 0.6)) == [(3, 0.6), (infinite, 0.8)]
