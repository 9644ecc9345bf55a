"""Charts as documents: the same bytes each time, text that is only text, and a look for the dark."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import pytest

from replank.charts.lines import Line, Panel, line_chart
from replank.charts.scatter import Point, scatter_chart
from replank.system import extras
from replank.system.errors import MissingExtraError
from svg_document import SvgDocument

HOSTILE = "</svg><script>x()</script>"


def loss_chart(title: str = "a title") -> str:
    return line_chart(title, "step", [Panel("loss", [Line("one", [(0, 4), (50, 2)]), Line("two", [(0, 3), (50, 3)])])])


def latency_chart(*names: str) -> str:
    return scatter_chart("t", "ms", "accuracy", [Point(name, 2.0**n, 0.5 + n) for n, name in enumerate(names)])


def test_a_chart_says_what_it_shows() -> None:
    drawn = loss_chart()
    document = SvgDocument(drawn)
    assert (document.root.attrib["role"], document.root.attrib["aria-label"]) == ("img", "a title")
    assert document.text_of("title") == "a title"
    assert document.text_of("desc") == "one: 4 at step 0, 2 at 50; two: 3 at step 0, 3 at 50"
    assert {"a title", "step", "loss", "one", "two", "0", "50"} <= set(document.texts)
    points = SvgDocument(latency_chart("slow", "slower")).text_of("desc")
    assert points == "accuracy against ms. slow: 1, 0.5000; slower: 2, 1.5000."


@pytest.mark.parametrize("drawn", [loss_chart(), latency_chart("a", "b")], ids=["lines", "scatter"])
def test_a_chart_needs_nothing_else_and_is_legible_in_the_dark(drawn: str) -> None:
    document = SvgDocument(drawn)
    assert re.findall(r"https?://[^\s\"']+", drawn) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"url\((?!#)|@import|@font-face", drawn)
    assert document.tags.isdisjoint({"script", "image", "foreignObject", "metadata"})
    # Every colour is the style sheet's, which has another one for the dark.
    sheet = next(element.text or "" for element in document.root.iter() if element.tag.endswith("}style"))
    assert re.findall(r"#[0-9a-f]{6}", drawn.replace(sheet, "")) == []
    light, _, dark = sheet.partition("@media screen and (prefers-color-scheme:dark)")
    classes = {name for element in document.root.iter() for name in element.get("class", "").split()} - {"chart"}
    assert classes
    for name in classes:
        colours = [re.findall(rf"\.{name}{{\w+:(#[0-9a-f]{{6}})}}", part) for part in (light, dark)]
        assert [len(found) for found in colours] == [1, 1]
        assert colours[0] != colours[1]


def test_the_same_chart_is_the_same_bytes() -> None:
    """In any thread, and whatever settings of matplotlib a program has."""
    expected = [loss_chart(), latency_chart("a", "b")] * 4
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        with ThreadPoolExecutor(4) as pool:
            drawn = list(pool.map(lambda number: latency_chart("a", "b") if number % 2 else loss_chart(), range(8)))
        assert matplotlib.rcParams["font.size"] == 30
    assert drawn == expected


def test_ids_of_charts_on_one_page_refer_to_the_same() -> None:
    charts = [SvgDocument(loss_chart("first")), SvgDocument(loss_chart("second"))]
    ids = [{element.attrib["id"] for element in chart.root.iter() if "id" in element.attrib} for chart in charts]
    assert ids[0] and ids[0].isdisjoint(ids[1])


@pytest.mark.parametrize("name", [HOSTILE, 'a"b', "$x$ and $\\frac", "_hidden", "a & b", "模型 🙂"])
def test_names_are_text(name: str) -> None:
    lines = line_chart(name, name, [Panel(name, [Line(name, [(0, 1), (1, 2)]), Line("other", [(0, 1), (1, 2)])])])
    for document, count in ((SvgDocument(lines), 4), (SvgDocument(latency_chart(name, "other")), 1)):
        assert document.texts.count(name) == count
        assert "script" not in document.tags
    assert SvgDocument(lines).root.attrib["aria-label"] == name


def test_what_xml_cannot_hold_is_replaced() -> None:
    drawn = latency_chart("nul \0, escape \x1b,\n surrogate \ud800", "x" * 1000)
    drawn.encode()
    texts = SvgDocument(drawn).texts
    assert "nul �, escape �, surrogate �" in texts
    assert f"{'x' * 39}…" in texts


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = extras.installed_version
    monkeypatch.setattr(extras, "installed_version", lambda name: None if name == "matplotlib" else real(name))
    with pytest.raises(MissingExtraError, match="not installed: matplotlib") as refusal:
        loss_chart()
    assert refusal.value.hint == 'pip install "replank[bench]"'


def test_matplotlib_is_imported_when_a_chart_is_drawn_and_pyplot_never() -> None:
    code = (
        "import sys, replank.charts.lines, replank.charts.scatter as scatter\n"
        "assert not [name for name in sys.modules if name.startswith('matplotlib')]\n"
        "scatter.scatter_chart('t', 'x', 'y', [scatter.Point('a', 1, 1)])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
