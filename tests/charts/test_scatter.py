"""Quality against latency: who is on the front, where the points lie, and that names keep out of each other's way."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from replank.charts.scatter import Point, pareto_front, scatter_chart

SVG = "{http://www.w3.org/2000/svg}"


def test_the_front_is_what_no_other_beats() -> None:
    fast, middle, best = Point("fast", 1, 0.5), Point("middle", 5, 0.7), Point("best", 10, 0.9)
    worse, equal = Point("worse", 6, 0.7), Point("equal", 5, 0.7)
    assert pareto_front([best, worse, middle, fast, equal]) == [fast, equal, middle, best]
    assert pareto_front([worse]) == [worse]


def test_faster_is_left_and_better_is_higher() -> None:
    chart = scatter_chart(
        "t", "x", "y", [Point("slow", 10, 0.9), Point("fast", 1, 0.8), Point("between", 10**0.5, 0.8)]
    )
    places = {title.split(":")[0]: (x, y) for title, x, y in circles(chart)}
    assert places["fast"][0] < places["between"][0] < places["slow"][0]
    assert places["slow"][1] < places["fast"][1] == places["between"][1]
    # On a logarithmic axis the geometric mean lies in the middle.
    assert places["between"][0] == pytest.approx((places["fast"][0] + places["slow"][0]) / 2, abs=0.2)


@pytest.mark.parametrize("y", [[0.77, 0.771, 0.7705, 0.7702], [0.5, 0.5, 0.5, 0.5], [-0.1, 0.9, 0.2, 0.1]])
def test_no_name_covers_another_or_leaves_the_chart(y: list[float]) -> None:
    names = [f"successor of {number} layers, ONNX" for number in range(4)]
    points = [Point(name, x, value) for name, x, value in zip(names, (8.0, 8.1, 0.7, 7.9), y, strict=True)]
    root = ElementTree.fromstring(scatter_chart("t", "x", "y", points))  # noqa: S314 - made here
    boxes = []
    for text in root.iter(f"{SVG}text"):
        if text.text in names:
            width, middle = 6.6 * len(text.text), float(text.attrib["x"])
            boxes.append((middle - width / 2, middle + width / 2, float(text.attrib["y"])))
    assert len(boxes) == 4
    assert all(left >= 0 and right <= 641 and 0 < line < 350 for left, right, line in boxes)
    for (left, right, line), (begin, end, other) in combinations(boxes, 2):
        assert abs(line - other) >= 12 or right <= begin or end <= left


def test_names_are_text() -> None:
    chart = scatter_chart("<script>", "x", "y", [Point("<script>alert(1)</script>", 1, 1), Point('a"b', 2, 2)])
    root = ElementTree.fromstring(chart)  # noqa: S314 - made here
    assert "<script>alert(1)</script>" in [element.text for element in root.iter(f"{SVG}text")]
    assert not list(root.iter(f"{SVG}script"))


def circles(chart: str) -> list[tuple[str, float, float]]:
    found = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"[^>]*><title>([^<]*)</title>', chart)
    return [(title, float(x), float(y)) for x, y, title in found]
