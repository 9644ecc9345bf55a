"""Quality against latency as SVG, and which models no other one beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from replank.charts.svg import svg_document, svg_text

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 350, 64, 24, 58, 48
_LINE = 15
_FRONT, _OTHER = "#2a6fbb", "#d1642c"
# About as wide as a letter of 12 pixels is on average.
_LETTER = 6.6


@dataclass(frozen=True)
class Point:
    """One model.

    :param x: its latency, above 0; less is better.
    :param y: its quality; more is better.
    """

    name: str
    x: float
    y: float


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Those that no other is at least as good as in both, and better in one; the fastest first."""
    return sorted(
        (point for point in points if not any(_beats(other, point) for other in points)),
        key=lambda point: (point.x, point.name),
    )


def scatter_chart(title: str, x_name: str, y_name: str, points: Sequence[Point]) -> str:
    """Points with their names on a logarithmic x axis, and the front as a line.

    :returns: a whole SVG document.
    """
    left, right = min(point.x for point in points) / 1.3, max(point.x for point in points) * 1.3
    low, high = _y_range([point.y for point in points])

    def at(x: float, y: float) -> tuple[float, float]:
        across = math.log(x / left) / math.log(right / left)
        up = (y - low) / (high - low)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    front = pareto_front(points)
    parts = [svg_text(_LEFT, 20, title)]
    ticks, digits = _steps(low, high)
    for tick in ticks:
        y = at(left, tick)[1]
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(svg_text(_LEFT - 6, y + 4, f"{tick:.{digits}f}", "end"))
    for tick in _log_steps(left, right):
        x = at(tick, low)[0]
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        parts.append(svg_text(x, _HEIGHT - _BOTTOM + 18, f"{tick:g}", "middle"))
    parts.append(svg_text(_WIDTH - _RIGHT, _HEIGHT - 8, x_name, "end"))
    parts.append(svg_text(_LEFT, _TOP - 8, y_name))
    path = " L ".join("{:.1f} {:.1f}".format(*at(point.x, point.y)) for point in front)
    parts.append(f'<path stroke="{_FRONT}" stroke-dasharray="4 3" d="M {path}"><title>Pareto front</title></path>')
    taken: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda point: -point.y):
        x, y = at(point.x, point.y)
        colour = _FRONT if point in front else _OTHER
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"><title>{_facts(point)}</title></circle>'
        )
        parts.append(_label(point.name, x, y, taken))
    return svg_document(title, _WIDTH, _HEIGHT, parts)


def _beats(one: Point, other: Point) -> bool:
    return one.x <= other.x and one.y >= other.y and (one.x, one.y) != (other.x, other.y)


def _facts(point: Point) -> str:
    return escape(f"{point.name}: {point.x:.3g}, {point.y:.4f}")


def _label(name: str, x: float, y: float, taken: list[tuple[float, float, float]]) -> str:
    """Above or below its point, as near as other names leave room, and within the chart."""
    width = _LETTER * len(name)
    middle = min(max(x, _LEFT + width / 2), _WIDTH - width / 2)
    start, end = middle - width / 2, middle + width / 2

    def is_free(line: float) -> bool:
        return not any(abs(line - other) < _LINE and start < right and left < end for other, left, right in taken)

    lines = [y + offset for step in range(8) for offset in (-10 - _LINE * step, 18 + _LINE * step)]
    line = next((line for line in lines if _TOP < line < _HEIGHT and is_free(line)), y + 4)
    taken.append((line, start, end))
    return svg_text(middle, line, name, "middle")


def _y_range(values: Sequence[float]) -> tuple[float, float]:
    """A little more than the values need: differences of quality are small."""
    low, high = min(values), max(values)
    room = max(0.15 * (high - low), 0.002 * max(abs(high), 1.0))
    return low - room, high + room


def _steps(low: float, high: float) -> tuple[list[float], int]:
    """Round numbers in between, three to seven of them, and the decimals that tell them apart."""
    unit = 10.0 ** math.floor(math.log10(high - low))
    step = next(unit * part for part in (0.1, 0.2, 0.5, 1.0, 2.0) if (high - low) / (unit * part) <= 7)
    first = math.ceil(low / step)
    digits = max(0, -math.floor(math.log10(step)))
    return [number * step for number in range(first, math.floor(high / step) + 1)], digits


def _log_steps(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, … in between."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [part * 10.0**power for power in powers for part in (1, 2, 5)]
    return [step for step in steps if low <= step <= high]
