"""Line charts: where the points lie, and what stands on the axes."""

from __future__ import annotations

from pathlib import Path

import pytest

from replank.charts.lines import Line, Panel, line_chart, training_chart
from svg_document import SvgDocument


def test_points_lie_on_the_scale() -> None:
    chart = SvgDocument(line_chart("t", "step", [Panel("loss", [Line("loss", [(0, 4), (50, 2), (100, 0)])])]))
    (left, top), middle, (right, bottom) = chart.tooltips["loss"]
    assert 0 < left < right < chart.width
    assert 0 < top < bottom < chart.height
    assert middle == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=0.01)
    assert {"0", "1", "2", "3", "4", "20", "40", "60", "80", "100"} <= set(chart.texts)


def test_panels_share_the_x_axis() -> None:
    upper, lower = Line("upper", [(0, 1), (10, 2)]), Line("lower", [(5, 1), (10, 2)])
    places = SvgDocument(line_chart("t", "x", [Panel("a", [upper]), Panel("b", [lower])])).tooltips
    (first, upper_end), (middle, lower_end) = places["upper"], places["lower"]
    assert middle[0] == pytest.approx((first[0] + upper_end[0]) / 2, abs=0.01)
    assert upper_end[0] == lower_end[0]
    assert first[1] < lower_end[1]


def test_a_scale_can_be_given() -> None:
    """What lies above its end is cut off, not drawn where it is not."""
    lines = [Line("slow", [(1, 10), (2, 1000)], is_marked=True), Line("limit", [(0, 50), (2, 50)], is_limit=True)]
    chart = SvgDocument(line_chart("t", "x", [Panel("ms", lines, bottom=0, top=150)]))
    (_, first), (_, second) = chart.tooltips["slow"]
    limit = chart.tooltips["limit"][0][1]
    assert second < limit < first
    assert "1000" not in chart.texts


def test_round_numbers_stand_on_the_axes() -> None:
    """Where the old charts had quarters of the largest value."""
    curve = [{"step": step, "loss": 1.0237 - step / 500} for step in range(50, 301, 50)]
    texts = set(SvgDocument(training_chart("t", curve, "accuracy")).texts)
    assert {"0.4", "0.6", "0.8", "0", "100", "200", "300"} <= texts
    many = [{"step": step, "loss": 1.0} for step in (1, 1_200_000)]
    assert {"200,000", "1,000,000"} <= set(SvgDocument(training_chart("t", many, "accuracy")).texts)


def test_a_training_may_have_any_of_its_curves() -> None:
    def tooltips(*entries: dict[str, float]) -> list[str]:
        return list(SvgDocument(training_chart("t", entries, "pearson")).tooltips)

    loss, rate = {"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "replacing_rate": 0.5}
    dev = {"step": 2, "eval_loss": 1.5, "eval_headline": -0.25}
    assert tooltips(loss) == ["loss"]
    assert tooltips(loss, dev) == ["loss", "dev loss", "dev pearson"]
    assert tooltips(loss, rate, dev) == ["loss", "dev loss", "dev pearson", "replacing rate"]
    assert "no values" in SvgDocument(training_chart("t", [], "pearson")).texts
    broken = {"step": 2, "loss": float("nan"), "eval_loss": float("inf"), "eval_headline": float("nan")}
    assert tooltips(broken) == ["loss", "dev loss", "dev pearson"]


@pytest.mark.parametrize("artifact", ["predecessor", "successor"])
def test_a_trained_artifact_has_its_curves(artifact: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(artifact)
    chart = SvgDocument((folder / "training.svg").read_text(encoding="utf-8"))
    rates = ["replacing rate"] if artifact == "successor" else []
    assert list(chart.tooltips) == ["loss", "dev loss", "dev accuracy", *rates]
    assert "![Training](training.svg)" in (folder / "README.md").read_text(encoding="utf-8")
