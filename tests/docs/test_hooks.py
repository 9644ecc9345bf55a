"""Notebooks, docstrings and plots as the site shows them."""

from __future__ import annotations

import ast
import json

import griffe

from docstring_texts import Docstrings, markdown
from documents import NOTEBOOK, read
from notebook_pages import linked_to_pages, page
from result_plots import PLOTS, _result
from svg_document import SvgDocument


def test_a_notebook_is_text_and_code_with_a_link_to_itself() -> None:
    cells = [("markdown", ["# Title\n", "\n", "First."]), ("code", ["a = 1\n", "a"]), ("markdown", ["Last."])]
    notebook = {"cells": [{"cell_type": kind, "source": source} for kind, source in cells]}
    assert page(notebook, "a.ipynb") == (
        "# Title\n\nThis page is a notebook: [a.ipynb](a.ipynb).\n\nFirst.\n\n```python\na = 1\na\n```\n\nLast.\n"
    )


def test_links_to_notebooks_lead_to_their_pages_on_the_site() -> None:
    text = "[a](a.ipynb), [b](../b.ipynb#part) and [c](c.md)"
    assert linked_to_pages(text) == "[a](a.md), [b](../b.md#part) and [c](c.md)"


def test_the_notebook_is_stored_without_outputs() -> None:
    for cell in json.loads(read(NOTEBOOK))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_references_and_examples_become_markdown() -> None:
    text = "A model, see :class:`~replank.Model`.\n\n>>> 1 + 1\n2\n\n:raises ValueError: never."
    assert markdown(text) == (
        "A model, see `replank.Model`.\n\n```pycon\n>>> 1 + 1\n2\n```\n\n:raises ValueError: never."
    )


def test_a_setting_has_its_help_and_its_default() -> None:
    code = 'class C:\n    """It."""\n    rate: float = setting(0.5, "A rate, " "of something.")\n    to: int = 1\n'
    module = griffe.visit("m", filepath=__file__, code=code, extensions=griffe.load_extensions(Docstrings))  # type: ignore[arg-type]
    rate = module["C.rate"]
    assert (rate.docstring.value, rate.value) == ("A rate, of something.", "0.5")
    assert module["C.to"].docstring is None
    assert ast.parse(str(rate.value))


def test_every_plot_shows_its_result() -> None:
    for name, draw in PLOTS.items():
        result = _result(name)
        chart = SvgDocument(draw(result))
        names = [model["name"] for model in result["models"]] if name == "quickstart" else ["replank", "mosec"]
        assert set(names) <= set(chart.texts)
