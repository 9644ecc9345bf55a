"""A report as one HTML page that needs nothing else: no script, no other host, legible in the dark and on paper."""

from __future__ import annotations

from html import escape

from replank.reporting.document import Block, Commands, Document, Figure, Grid, Heading, Paragraph, Steps

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--soft:#5c5c5c;--line:#d8d8d8;--back:#fff;--band:#f5f5f3}
@media(prefers-color-scheme:dark){:root{--ink:#e4e4e4;--soft:#a4a4a4;--line:#3c3c3c;--back:#161616;--band:#1f1f1f}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem 1.25rem 4rem;max-width:60rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--back);overflow-wrap:anywhere}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;padding-bottom:.25rem;border-bottom:1px solid var(--line)}
figure,.table{margin:1rem 0;overflow-x:auto}
figure svg{display:block;width:100%;min-width:30rem;max-width:46rem;height:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .8rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600}
td{overflow-wrap:normal;min-width:3rem}
.number{text-align:right;white-space:nowrap;padding:.3rem 0 .3rem 1rem}
.note,footer{color:var(--soft);font-size:.85rem}
pre{background:var(--band);border:1px solid var(--line);border-radius:4px;padding:.75rem;font-size:.85rem;
white-space:pre-wrap}
@media print{
:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--back:#fff;--band:#fff}
body{max-width:none;padding:0;font-size:10.5pt}
h2{break-after:avoid}tr,figure,pre{break-inside:avoid}thead{display:table-header-group}
figure,.table{overflow:visible}figure svg{min-width:0;max-width:38rem}table{font-size:8.5pt}
th,td{padding-right:.5rem}.number{padding-left:.5rem}
}
@page{margin:18mm 15mm}
"""


def to_page(document: Document) -> str:
    """A whole HTML document."""
    body = "\n".join(_block(block) for block in document.blocks)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        # Whatever a text holds: nothing is run and nothing is fetched.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(document.title)}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body>\n<h1>{escape(document.title)}</h1>\n{body}\n</body></html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Steps(items):
            return "<ol>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ol>"
        case Figure(svg):
            return f"<figure>{svg}</figure>"
        case Commands(lines):
            return f"<pre>{escape(chr(10).join(' '.join(line.split()) for line in lines))}</pre>"
        case Grid():
            return _table(block)


def _table(grid: Grid) -> str:
    head = "".join(_cell("th", cell, number >= grid.names) for number, cell in enumerate(grid.columns))
    rows = "".join(
        "<tr>" + "".join(_cell("td", cell, number >= grid.names) for number, cell in enumerate(row)) + "</tr>\n"
        for row in grid.rows
    )
    note = f'<p class="note">{escape(grid.note)}</p>' if grid.note else ""
    return f'<div class="table"><table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>{note}'


def _cell(tag: str, text: str, is_number: bool) -> str:
    return f"<{tag}{' class=number' if is_number else ''}>{escape(text)}</{tag}>"
