"""From a matplotlib figure to an SVG document for people: searchable text, a dark and a printed look, a description."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from replank.system.extras import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 640
"""Width of a chart in pixels."""

# Each colour in light and in dark mode. Matplotlib draws with the light one, which a class then takes the place of.
_COLOURS = {
    "ink": ("#1c1c1d", "#e4e4e5"),
    "soft": ("#5c5c5d", "#a4a4a5"),
    "grid": ("#d8d8d9", "#3c3c3d"),
    "series-0": ("#1f6fb4", "#6cb0ee"),
    "series-1": ("#c8501e", "#f0915f"),
    "series-2": ("#2e7d4f", "#6fc08f"),
    "series-3": ("#7b4fa3", "#b993de"),
}
INK, SOFT, GRID, *SERIES = (light for light, _ in _COLOURS.values())
"""The colours that a chart may be drawn with: others would not change in the dark."""

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 12,
    "text.color": INK,
    # Names of models and metrics are only names, whatever `$` they hold.
    "text.parse_math": False,
    "axes.edgecolor": GRID,
    "axes.labelcolor": SOFT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-6, 9),
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "figure.titlesize": 13,
    "grid.color": GRID,
    "xtick.color": GRID,
    "xtick.labelcolor": SOFT,
    "ytick.color": GRID,
    "ytick.labelcolor": SOFT,
    "lines.linewidth": 1.75,
    "lines.markersize": 6,
    "legend.frameon": False,
}
_MAXIMAL_TEXT = 72
# XML 1.0 allows no other characters, not even escaped.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Matplotlib's settings belong to the process.
_lock = threading.Lock()


def draw_svg(title: str, description: str, height: int, draw: Callable[[Figure], Mapping[str, str] | None]) -> str:
    """Draw a figure and write it as an SVG document.

    The same figure gives the same bytes. The document refers to nothing outside itself, and any text is only text.

    :param description: the chart in words, for those who cannot see it.
    :param height: in pixels.
    :param draw: fills the figure; it may return a tooltip for each artist's ``gid``.
    :raises MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib")
    import matplotlib
    from matplotlib.figure import Figure

    text = io.StringIO()
    with _lock, matplotlib.rc_context(), warnings.catch_warnings():
        # The fonts that measure a text here are not those that will show it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # Not as the user's own matplotlibrc has it.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        matplotlib.rcParams["svg.hashsalt"] = title
        figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72, layout="constrained")
        figure.suptitle(clean(title), x=0.0125, horizontalalignment="left")
        tooltips = draw(figure)
        figure.savefig(text, format="svg", metadata={"Date": None})
    return _document(text.getvalue(), title, description, height, tooltips or {})


def clean(text: str, length: int = _MAXIMAL_TEXT) -> str:
    """A text on one line, of characters that XML allows, and not longer than that many of them."""
    line = " ".join(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _document(drawn: str, title: str, description: str, height: int, tooltips: Mapping[str, str]) -> str:
    """Matplotlib's document with a style sheet in place of its colours and fonts, and words for those who need them."""
    root = ElementTree.fromstring(drawn)  # noqa: S314 - made by matplotlib, here
    for element in list(root.iter()):
        _simplify(element)
    for metadata in root.findall("metadata"):
        root.remove(metadata)
    for group in list(root.iter("g")):
        if tooltip := tooltips.get(group.get("id", "")):
            group.insert(0, _element("title", clean(tooltip, 500)))
    _drop_unused_ids(root)
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {WIDTH} {height}",
        "class": "chart",
        "role": "img",
        "aria-label": clean(title, 500),
    }
    root[:0] = [
        _element("title", clean(title, 500)),
        _element("desc", clean(description, 10_000)),
        _element("style", _style_sheet()),
    ]
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _simplify(element: ElementTree.Element) -> None:
    """Names without namespaces, and classes in place of colours and fonts."""
    element.tag = element.tag.rpartition("}")[2]
    element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    if "style" not in element.attrib or element.tag == "style":
        return
    rules = dict(rule.split(": ", 1) for rule in element.attrib.pop("style").split("; ") if ": " in rule)
    classes = []
    for name in ("fill", "stroke"):
        role = next((role for role, (light, _) in _COLOURS.items() if rules.get(name) == light), None)
        if role:
            classes.append(f"{name}-{role}")
            del rules[name]
    if "font" in rules:
        rules["font-size"] = re.findall(r"[\d.]+px", rules.pop("font"))[0]
    rules.pop("font-family", None)
    if rules:
        element.set("style", "; ".join(f"{name}: {value}" for name, value in rules.items()))
    if classes:
        element.set("class", " ".join(classes))


def _drop_unused_ids(root: ElementTree.Element) -> None:
    """A page holds several charts, whose ids must not be the same."""
    values = " ".join(value for element in root.iter() for name, value in element.attrib.items() if name != "id")
    used = set(re.findall(r"#([\w-]+)", values))
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)


def _element(tag: str, text: str) -> ElementTree.Element:
    element = ElementTree.Element(tag)
    element.text = text
    return element


def _style_sheet() -> str:
    def rules(which: int) -> str:
        return "".join(
            f".chart .{name}-{role}{{{name}:{colours[which]}}}"
            for role, colours in _COLOURS.items()
            for name in ("fill", "stroke")
        )

    return (
        ".chart{background:#fff}.chart text{font-family:system-ui,sans-serif}"
        f"{rules(0)}@media screen and (prefers-color-scheme:dark){{.chart{{background:#161616}}{rules(1)}}}"
    )
