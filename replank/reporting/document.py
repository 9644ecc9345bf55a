"""The blocks of a report, apart from the format it is written in. All texts are plain; writers escape them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """The start of a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str


@dataclass(frozen=True)
class Steps:
    """A numbered list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A table: the first ``names`` columns are words, the others numbers.

    :param note: a remark below the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A chart.

    :param svg: an SVG document by :mod:`replank.charts`, in which all texts are escaped.
    :param text: what Markdown shows in its place.
    """

    svg: str
    text: str = ""


@dataclass(frozen=True)
class Commands:
    """Command lines."""

    lines: Sequence[str]


Block = Heading | Paragraph | Steps | Grid | Figure | Commands


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    blocks: Sequence[Block]
