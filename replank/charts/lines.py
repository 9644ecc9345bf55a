"""Line charts: panels below each other over one x axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replank.charts.svg import SERIES, SOFT, clean, draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLE, _PANEL, _X_AXIS = 40, 190, 40


@dataclass(frozen=True)
class Line:
    """A line through points ``(x, y)``, in the order of x.

    :param colour: index of its colour; lines that belong together have the same one.
    :param is_marked: whether each point has a marker, as where there are few.
    :param is_limit: whether it is a bound rather than a measurement: dashed, without a colour.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    is_marked: bool = False
    is_limit: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines over one y axis.

    :param y_name: the label of the axis, with the unit.
    :param bottom: the start of the axis; ``None`` leaves it to the lines.
    :param top: the end of the axis, above which lines are cut off; ``None`` leaves it to the lines.
    :param height: relative to that of a usual panel.
    """

    y_name: str
    lines: Sequence[Line]
    bottom: float | None = None
    top: float | None = None
    height: float = 1.0


def line_chart(title: str, x_name: str, panels: Sequence[Panel]) -> str:
    """Panels over a common x axis, each with a legend above it where it has several lines.

    :param x_name: the label of the axis, with the unit.
    :returns: an SVG document.
    :raises MissingExtraError: matplotlib is not installed.
    """

    def draw(figure: Figure) -> dict[str, str]:
        from matplotlib.ticker import StrMethodFormatter

        ratios = [panel.height for panel in panels]
        column = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
        tooltips: dict[str, str] = {}
        for axes, panel in zip(column, panels, strict=True):
            tooltips |= _draw_panel(axes, panel, len(tooltips))
        column[-1].set_xlabel(clean(x_name))
        column[-1].set_xlim(left=0.0)
        column[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
        figure.align_ylabels()
        return tooltips

    height = _TITLE + _X_AXIS + round(_PANEL * sum(panel.height for panel in panels))
    return draw_svg(title, _describe(x_name, panels), height, draw)


def training_chart(title: str, curve: Sequence[Mapping[str, float]], headline: str) -> str:
    """The curves of a training: losses, the dev metric, and the replacing rate where there is one.

    :param curve: the entries of the log, in their order.
    :param headline: the name of the dev metric.
    :returns: an SVG document.
    :raises MissingExtraError: matplotlib is not installed.
    """

    def line(name: str, key: str, *, is_dev: bool = False) -> list[Line]:
        points = [(entry["step"], entry[key]) for entry in curve if key in entry]
        return [Line(name, points, colour=int(is_dev), is_marked=is_dev)] if points else []

    panels = [Panel("loss", line("loss", "loss") + line("dev loss", "eval_loss", is_dev=True))]
    if metric := line(f"dev {headline}", "eval_headline", is_dev=True):
        panels.append(Panel(f"dev {headline}", metric, height=0.8))
    if rate := line("replacing rate", "replacing_rate"):
        panels.append(Panel("replacing rate", rate, bottom=0.0, top=1.05, height=0.5))
    return line_chart(title, "optimizer step", panels)


def _draw_panel(axes: Axes, panel: Panel, first: int) -> dict[str, str]:
    """:returns: the tooltips of its lines, whose ids count from ``first``."""
    tooltips, handles = {}, []
    for number, line in enumerate(panel.lines):
        handles += axes.plot(
            [x for x, _ in line.points],
            [y for _, y in line.points],
            color=SOFT if line.is_limit else SERIES[line.colour % len(SERIES)],
            linestyle="--" if line.is_limit else "-",
            marker="o" if line.is_marked else None,
            gid=f"line-{first + number}",
        )
        tooltips[f"line-{first + number}"] = line.name
    axes.set_ylabel(clean(panel.y_name, 28))
    axes.locator_params(axis="y", nbins=max(2, round(6 * panel.height)))
    axes.set_ylim(panel.bottom, panel.top)
    if not panel.lines:
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, horizontalalignment="center")
        axes.set_yticks([])
    if len(panel.lines) > 1:
        names = [clean(line.name, 28) for line in panel.lines]
        axes.legend(handles, names, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2, borderpad=0)
    return tooltips


def _describe(x_name: str, panels: Sequence[Panel]) -> str:
    """The ends of each line."""
    lines = [line for panel in panels for line in panel.lines if line.points]
    parts = [
        f"{line.name}: {line.points[0][1]:.4g} at {x_name} {line.points[0][0]:.4g}, "
        f"{line.points[-1][1]:.4g} at {line.points[-1][0]:.4g}"
        for line in lines
    ]
    return "; ".join(parts) or "No values."
