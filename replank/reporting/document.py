"""What a report consists of, whatever it is written as. Every text is plain: escaping is the writer's work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """The start of a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Some sentences."""

    text: str


@dataclass(frozen=True)
class Steps:
    """A numbered list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A table: the first ``names`` columns are words, the others numbers.

    :param note: what the table must be read with.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A chart.

    :param svg: a whole SVG document, already safe.
    :param text: what Markdown, which has no chart, says instead.
    """

    svg: str
    text: str = ""


@dataclass(frozen=True)
class Commands:
    """Lines to type."""

    lines: Sequence[str]


Block = Heading | Paragraph | Steps | Grid | Figure | Commands


@dataclass(frozen=True)
class Document:
    """A title and what follows."""

    title: str
    blocks: Sequence[Block]
