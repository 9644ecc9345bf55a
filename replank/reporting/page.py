"""A report as one HTML page that needs nothing else: no script, no other host, legible in the dark and on paper."""

from __future__ import annotations

from importlib import resources

from replank.reporting.document import Document
from replank.system.extras import require

_TEMPLATE = "page.html"


def to_page(document: Document) -> str:
    """An HTML document; any text of the report is only text in it.

    :raises MissingExtraError: jinja2 is not installed.
    """
    require("jinja2")
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(resources.files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8"))
    blocks = [(type(block).__name__, block) for block in document.blocks]
    return template.render(title=document.title, blocks=blocks)
