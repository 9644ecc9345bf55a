"""Quality against latency: a point for each model, and the Pareto front through the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replank.charts.labels import place_labels
from replank.charts.pareto import pareto_front
from replank.charts.svg import SERIES, clean, draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 400
# Ends of the x axis beyond the outermost points, as a factor.
_ROOM = 1.4
_FRONT: dict[str, Any] = {"color": SERIES[0], "linestyle": "--", "linewidth": 1.25, "marker": "o"}
_OTHER: dict[str, Any] = {"color": SERIES[1], "linestyle": "none", "marker": "s"}


@dataclass(frozen=True)
class Point:
    """A model.

    :param x: its latency, above 0; less is better.
    :param y: its quality; more is better.
    """

    name: str
    x: float
    y: float


def front_of(points: Sequence[Point]) -> list[Point]:
    """The points that no other one beats in both latency and quality, the fastest first."""
    return pareto_front(points, lambda point: point.x, lambda point: point.y)


def scatter_chart(title: str, x_name: str, y_name: str, points: Sequence[Point]) -> str:
    """Points with their names over a logarithmic x axis, and a line through those of the Pareto front.

    :param points: at least one.
    :returns: an SVG document.
    :raises MissingExtraError: matplotlib is not installed.
    """
    front = front_of(points)

    def draw(figure: Figure) -> dict[str, str]:
        axes = figure.subplots()
        _draw_axes(axes, x_name, y_name, points)
        line = [(point.x, point.y) for point in front]
        axes.plot(*zip(*line, strict=True), **_FRONT | {"marker": None})
        tooltips: dict[str, str] = {}
        for point in points:
            gid = f"point-{len(tooltips)}"
            axes.plot(point.x, point.y, gid=gid, **_FRONT if point in front else _OTHER)
            tooltips[gid] = _facts(point)
        _draw_legend(axes, has_others=len(front) < len(points))
        place_labels(figure, axes, [(clean(point.name, 40), point.x, point.y) for point in points], line)
        return tooltips

    description = f"{y_name} against {x_name}. {'; '.join(map(_facts, sorted(points, key=lambda point: point.x)))}."
    return draw_svg(title, description, _HEIGHT, draw)


def _draw_axes(axes: Axes, x_name: str, y_name: str, points: Sequence[Point]) -> None:
    """Axes with ticks at round numbers and room for the names."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    low, high = min(point.x for point in points) / _ROOM, max(point.x for point in points) * _ROOM
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if high / low > 10 else MaxNLocator(6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    axes.set_xlabel(clean(x_name))
    axes.margins(y=0.2)
    axes.locator_params(axis="y", nbins=6)
    axes.set_ylabel(clean(y_name, 40))


def _draw_legend(axes: Axes, *, has_others: bool) -> None:
    from matplotlib.lines import Line2D

    kinds = [("Pareto front", _FRONT), *([("other models", _OTHER)] if has_others else [])]
    handles = [Line2D([], [], label=name, **look) for name, look in kinds]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, borderpad=0)


def _facts(point: Point) -> str:
    return f"{point.name}: {point.x:.3g}, {point.y:.4f}"
