"""Charts: where the points lie, and that any name is only a name."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from replank.charts.svg import Line, Panel, line_charts

SVG = "{http://www.w3.org/2000/svg}"


def test_points_lie_on_the_scale() -> None:
    """The left edge is x = 0, the right one the last step; the top of a panel is its largest value, the bottom 0."""
    chart = line_charts("t", "step", [Panel([Line("loss", [(0, 4), (50, 2), (100, 0)])])])
    (path,) = ElementTree.fromstring(chart).iter(f"{SVG}path")  # noqa: S314 - made here
    numbers = [float(value) for value in re.findall(r"[\d.]+", path.attrib["d"])]
    assert numbers == [56, 40, 340, 130, 624, 220]


def test_a_scale_can_be_given_and_goes_below_zero() -> None:
    given = line_charts("t", "step", [Panel([Line("rate", [(1, 0.5)])], top=1.0)])
    assert [float(value) for value in re.findall(r'd="M ([\d.]+) ([\d.]+)"', given)[0]] == [624, 130]
    negative = line_charts("t", "step", [Panel([Line("correlation", [(1, -1.0), (2, 1.0)])])])
    assert ">-1<" in negative


def test_names_are_text() -> None:
    chart = line_charts("<script>", 'a"b', [Panel([Line("x & y", [(0, 1)])]), Panel([])])
    root = ElementTree.fromstring(chart)  # noqa: S314 - made here
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert "<script>" in texts
    assert "x & y" in texts
    assert not list(root.iter(f"{SVG}script"))


@pytest.mark.parametrize("artifact", ["predecessor", "successor"])
def test_a_trained_artifact_has_its_curves(artifact: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(artifact)
    chart = (folder / "training.svg").read_text(encoding="utf-8")
    names = [element.text for element in ElementTree.fromstring(chart).iter(f"{SVG}title")]  # noqa: S314 - made here
    rates = ["replacing rate"] if artifact == "successor" else []
    assert names == ["loss", "dev loss", "dev accuracy", *rates]
    assert "![Training](training.svg)" in (folder / "README.md").read_text(encoding="utf-8")
