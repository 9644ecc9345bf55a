"""Quality against latency: where the points lie, and that names keep out of each other's way."""

from __future__ import annotations

from itertools import combinations

import pytest

from replank.charts.scatter import Point, front_of, scatter_chart
from svg_document import SvgDocument


def test_the_front_of_points_is_the_fastest_and_the_best() -> None:
    fast, middle, best, worse = (
        Point(name, x, y) for name, x, y in (("f", 1, 0.5), ("m", 5, 0.7), ("b", 10, 0.9), ("w", 6, 0.7))
    )
    assert front_of([best, worse, middle, fast]) == [fast, middle, best]


def test_faster_is_left_and_better_is_higher() -> None:
    points = [Point("slow", 10, 0.9), Point("fast", 1, 0.8), Point("between", 10**0.5, 0.8)]
    document = SvgDocument(scatter_chart("t", "x", "y", points))
    places = {tooltip.split(":")[0]: places[0] for tooltip, places in document.tooltips.items()}
    assert list(places) == ["slow", "fast", "between"]
    assert places["fast"][0] < places["between"][0] < places["slow"][0]
    assert places["slow"][1] < places["fast"][1] == places["between"][1]
    # On a logarithmic axis the geometric mean lies in the middle.
    assert places["between"][0] == pytest.approx((places["fast"][0] + places["slow"][0]) / 2, abs=0.01)
    assert {"1", "2", "5", "10", "Pareto front", "other models"} <= set(document.texts)


def test_a_narrow_range_has_ticks_too() -> None:
    texts = SvgDocument(scatter_chart("t", "x", "y", [Point("a", 8.0, 0.5), Point("b", 8.2, 0.6)])).texts
    assert {"6", "8", "10"} <= set(texts)
    alone = SvgDocument(scatter_chart("t", "x", "y", [Point("alone", 8.0, 0.5)]))
    assert {"alone", "6", "8", "10", "0.50"} <= set(alone.texts)
    assert "other models" not in alone.texts


@pytest.mark.parametrize("y", [[0.77, 0.771, 0.7705, 0.7702], [0.5, 0.5, 0.5, 0.5], [-0.1, 0.9, 0.2, 0.1]])
def test_no_name_covers_another_or_a_point_or_leaves_the_chart(y: list[float]) -> None:
    names = [f"successor of {number} layers, ONNX" for number in range(4)]
    points = [Point(name, x, value) for name, x, value in zip(names, (8.0, 8.1, 0.7, 7.9), y, strict=True)]
    document = SvgDocument(scatter_chart("t", "x", "y", points))
    boxes = document.labels(names)
    assert len(boxes) == 4
    for left, right, top, bottom in boxes.values():
        assert left >= 0 and right <= document.width and top > 0 and bottom < document.height
        for ((x, at),) in document.tooltips.values():
            assert not (left < x < right and top < at < bottom)
    for (left, right, top, bottom), (begin, end, high, low) in combinations(boxes.values(), 2):
        assert bottom <= high or low <= top or right <= begin or end <= left
