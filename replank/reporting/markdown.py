"""A report as Markdown.

Without a template: Markdown has no autoescaping in jinja2, and a template's own line breaks would end its tables.
"""

from __future__ import annotations

import re

from replank.reporting.document import Block, Commands, Document, Figure, Grid, Heading, Paragraph, Steps

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def to_markdown(document: Document) -> str:
    """A document in GitHub's Markdown; any text of the report is only text in it."""
    parts = [f"# {_text(document.title)}", *(_block(block) for block in document.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {_text(text)}"
        case Paragraph(text):
            return _text(text)
        case Steps(items):
            return "\n".join(f"{number}. {_text(item)}" for number, item in enumerate(items, 1))
        case Figure(_, text):
            return _text(text)
        case Commands(lines):
            return "\n".join(f"    {' '.join(line.split())}" for line in lines)
        case Grid(columns, rows, names, note):
            rule = ["---" if number < names else "--:" for number in range(len(columns))]
            table = [[_text(cell) for cell in row] for row in (columns, *rows)]
            table.insert(1, rule)
            return "\n".join(f"| {' | '.join(line)} |" for line in table) + (f"\n\n{_text(note)}" if note else "")


def _text(text: str) -> str:
    """A text on one line, without markup of Markdown or HTML."""
    escaped = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
