"""Charts as SVG: text that can be read, searched and printed, legible in the dark, from no other host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _PANEL, _LEFT, _RIGHT, _GAP = 640, 180, 56, 16, 44
_COLOURS = ("#2a6fbb", "#d1642c", "#3f8f4f", "#8a5fb0")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}line,path{fill:none;stroke-width:1.5}.grid{stroke:#8884}"
    "@media screen and (prefers-color-scheme:dark){svg{background:#161616}text{fill:#ddd}}"
)


@dataclass(frozen=True)
class Line:
    """One line: its name and its points ``(x, y)``, in the order of x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """Lines on one scale.

    :param top: the largest y of the scale; ``None`` takes the largest there is. The scale begins at 0, or at the
        smallest y if that is negative.
    """

    lines: Sequence[Line]
    top: float | None = None


def line_charts(title: str, x_name: str, panels: Sequence[Panel]) -> str:
    """Panels below each other over the same x axis.

    :returns: a whole SVG document.
    """
    last = max((x for panel in panels for line in panel.lines for x, _ in line.points), default=1.0) or 1.0
    height = len(panels) * (_PANEL + _GAP) + 40
    parts = [svg_text(_LEFT, 20, title)]
    for number, panel in enumerate(panels):
        parts += _panel(panel, 40 + number * (_PANEL + _GAP), last)
    parts.append(svg_text(_WIDTH - _RIGHT, height - 8, f"{x_name}: 0 to {last:g}", "end"))
    return svg_document(title, _WIDTH, height, parts)


def training_chart(title: str, curve: Sequence[Mapping[str, float]], headline: str) -> str:
    """The curves of a training: losses above; dev metric and replacing rate, which are parts of 1, below.

    :param curve: the entries of the log, in their order.
    :param headline: the metric's name.
    """

    def line(name: str, key: str) -> list[Line]:
        points = [(entry["step"], entry[key]) for entry in curve if key in entry]
        return [Line(name, points)] if points else []

    metric = line(f"dev {headline}", "eval_headline") + line("replacing rate", "replacing_rate")
    panels = [Panel(line("loss", "loss") + line("dev loss", "eval_loss")), Panel(metric, top=1.0)]
    return line_charts(title, "step", panels)


def svg_document(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    """Elements in a document that says what it shows, also to who cannot see it."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}"><style>{_STYLE}</style>\n{body}\n</svg>\n'
    )


def svg_text(x: float, y: float, content: str, anchor: str = "start") -> str:
    """A line of text; any characters are only characters."""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(content)}</text>'


def _panel(panel: Panel, above: int, last: float) -> list[str]:
    values = [y for line in panel.lines for _, y in line.points]
    top = panel.top if panel.top is not None else max(values, default=1.0)
    bottom = min(0.0, min(values, default=0.0))
    span = (top - bottom) or 1.0

    def at(x: float, y: float) -> str:
        return f"{_LEFT + x / last * (_WIDTH - _LEFT - _RIGHT):.1f} {above + (top - y) / span * _PANEL:.1f}"

    parts = []
    for quarter in range(5):
        value, y = bottom + span * quarter / 4, above + _PANEL * (4 - quarter) / 4
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(svg_text(_LEFT - 6, y + 4, f"{value:.3g}", "end"))
    for index, line in enumerate(panel.lines):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " L ".join(at(x, y) for x, y in line.points)
        parts.append(f'<path stroke="{colour}" d="M {path}"><title>{escape(line.name)}</title></path>' if path else "")
        x, y = _LEFT + index * 150, above + _PANEL + 16
        parts.append(f'<line stroke="{colour}" x1="{x}" x2="{x + 18}" y1="{y}" y2="{y}"/>')
        parts.append(svg_text(x + 24, y + 4, line.name))
    return parts
