"""An SVG document as a reader sees it: its texts, and where what has a tooltip lies."""

from __future__ import annotations

import re
from xml.etree import ElementTree

_SVG = "{http://www.w3.org/2000/svg}"
Place = tuple[float, float]


class SvgDocument:
    """A chart, parsed.

    :param drawn: must be well-formed XML.
    """

    def __init__(self, drawn: str) -> None:
        self.root = ElementTree.fromstring(drawn)  # noqa: S314 - made here
        self.width, self.height = map(float, self.root.attrib["viewBox"].split()[2:])

    @property
    def tags(self) -> set[str]:
        """The names of all elements."""
        return {element.tag.removeprefix(_SVG) for element in self.root.iter()}

    @property
    def texts(self) -> list[str]:
        """What is written."""
        return [element.text or "" for element in self.root.iter(f"{_SVG}text")]

    def text_of(self, tag: str) -> str:
        """What the document's own ``title`` or ``desc`` says."""
        return self.root.findtext(f"{_SVG}{tag}") or ""

    @property
    def tooltips(self) -> dict[str, list[Place]]:
        """The places of each line or marker that has a tooltip, from the left upper corner."""
        found = {}
        for group in self.root.iter(f"{_SVG}g"):
            if title := group.findtext(f"{_SVG}title"):
                found[title] = _marks(group) or _path(group)
        return found

    def labels(self, names: list[str], letter: float = 6.9) -> dict[str, tuple[float, float, float, float]]:
        """The box of each name, as left, right, top and bottom; about as wide as a sans-serif font makes it."""
        found = {}
        for element in self.root.iter(f"{_SVG}text"):
            if element.text in names:
                match = re.search(r"translate\(([\d.]+) ([\d.]+)\)", element.get("transform", ""))
                x, y = map(float, match.groups() if match else (element.attrib["x"], element.attrib["y"]))
                width, anchor = letter * len(element.text), element.get("style", "")
                left = x - width * (0.5 if "middle" in anchor else 1.0 if "anchor: end" in anchor else 0.0)
                found[element.text] = (left, left + width, y - 9, y + 3)
        return found


def _marks(group: ElementTree.Element) -> list[Place]:
    return [(float(use.attrib["x"]), float(use.attrib["y"])) for use in group.iter(f"{_SVG}use")]


def _path(group: ElementTree.Element) -> list[Place]:
    numbers = re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", next(group.iter(f"{_SVG}path")).get("d", ""))
    return [(float(x), float(y)) for x, y in numbers]
