"""Names beside points, where they cover neither a point nor a line nor each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from replank.charts.svg import INK, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

Pair = tuple[float, float]

# Directions from a point, in the order in which they are preferred, with the alignment of a name there.
_DIRECTIONS = (
    (1, 0, "left", "center"),
    (0, 1, "center", "bottom"),
    (-1, 0, "right", "center"),
    (0, -1, "center", "top"),
    (0.7, 0.7, "left", "bottom"),
    (-0.7, 0.7, "right", "bottom"),
    (0.7, -0.7, "left", "top"),
    (-0.7, -0.7, "right", "top"),
)
# Pixels from a point's centre to its name; from the second on, a thin line leads from one to the other.
_DISTANCES = (9.0, 24.0, 40.0, 56.0, 72.0, 88.0, 104.0)
_MARKER = 5.0


@dataclass(frozen=True)
class _Place:
    """The places where a name may stand.

    :param cost: less is better.
    :param leader: the ends of the line from the point to the name.
    """

    cost: float
    offset: Pair
    alignment: tuple[str, str]
    is_far: bool
    leader: tuple[Pair, Pair]
    box: Bbox


def place_labels(figure: Figure, axes: Axes, labels: Sequence[tuple[str, float, float]], line: Sequence[Pair]) -> None:
    """Write names beside their points.

    :param figure: its layout is final afterwards.
    :param labels: each a name and its point.
    :param line: the points of a line that no name should cross.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    to_pixels = axes.transData.transform
    points = [tuple(to_pixels((x, y))) for _, x, y in labels]
    lines = list(pairwise(tuple(to_pixels(point)) for point in line))
    taken: list[Bbox] = []
    # From the top, so that names at one place fill the room above them first.
    for index in sorted(range(len(labels)), key=lambda index: (-points[index][1], points[index][0])):
        name, x, y = labels[index]
        place = min(_places(axes, name, points[index], points, lines, taken), key=lambda place: place.cost)
        taken.append(place.box)
        if place.is_far:
            lines.append(place.leader)
        axes.annotate(
            name,
            (x, y),
            place.offset,
            textcoords="offset points",
            horizontalalignment=place.alignment[0],
            verticalalignment=place.alignment[1],
            color=INK,
            arrowprops={"arrowstyle": "-", "color": SOFT, "linewidth": 0.75, "shrinkA": 1} if place.is_far else None,
        )


def _places(
    axes: Axes,
    name: str,
    point: Pair,
    points: Sequence[Pair],
    lines: Sequence[tuple[Pair, Pair]],
    taken: Sequence[Bbox],
) -> list[_Place]:
    """All places for a name, with their costs; everything is in pixels."""
    width, height = _size(axes, name)
    places = []
    for step, distance in enumerate(_DISTANCES):
        for number, (right, up, horizontal, vertical) in enumerate(_DIRECTIONS):
            offset = (right * distance, up * distance)
            box = _box(point, offset, (horizontal, vertical), (width, height))
            cost = 10.0 * step + number
            cost += 1000 * (not _lies_within(box, axes.bbox))
            cost += 500 * sum(box.overlaps(other) for other in taken)
            cost += 500 * sum(box.overlaps(_marker(other)) for other in points if other != point)
            cost += 100 * sum(_crosses(box, *ends) for ends in lines)
            leader = (point, (point[0] + offset[0], point[1] + offset[1]))
            cost += 100 * sum(_crosses(other, *leader) for other in taken) if step else 0
            places.append(_Place(cost, offset, (horizontal, vertical), step > 0, leader, box))
    return places


def _size(axes: Axes, name: str) -> Pair:
    text = axes.text(0, 0, name)
    extent = text.get_window_extent()
    text.remove()
    return extent.width, extent.height


def _box(point: Pair, offset: Pair, alignment: tuple[str, str], size: Pair) -> Bbox:
    from matplotlib.transforms import Bbox

    part = {"left": 0.0, "bottom": 0.0, "center": 0.5, "right": 1.0, "top": 1.0}
    left, bottom = (point[axis] + offset[axis] - part[alignment[axis]] * size[axis] for axis in (0, 1))
    return Bbox.from_bounds(left, bottom, *size)


def _marker(point: Pair) -> Bbox:
    from matplotlib.transforms import Bbox

    return Bbox.from_bounds(point[0] - _MARKER, point[1] - _MARKER, 2 * _MARKER, 2 * _MARKER)


def _lies_within(box: Bbox, area: Bbox) -> bool:
    return bool(area.x0 <= box.x0 and box.x1 <= area.x1 and area.y0 <= box.y0 and box.y1 <= area.y1)


def _crosses(box: Bbox, start: Pair, end: Pair) -> bool:
    from matplotlib.path import Path

    return bool(Path([start, end]).intersects_bbox(box, filled=False))
