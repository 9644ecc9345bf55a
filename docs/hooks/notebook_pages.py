"""Pages of notebooks: each is shown as text and code, and lies beside its page as a file."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        place = PurePosixPath(notebook.src_uri)
        text = page(json.loads(Path(str(notebook.abs_src_path)).read_text(encoding="utf-8")), place.name)
        files.append(File.generated(config, str(place.with_suffix(".md")), content=text))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """A page whose links to notebooks lead to their pages; a notebook's own page keeps the link to its file."""
    notebook = str(PurePosixPath(page.file.src_uri).with_suffix(".ipynb"))
    return markdown if files.get_file_from_path(notebook) else linked_to_pages(markdown)


def linked_to_pages(markdown: str) -> str:
    """A text whose links to notebooks, as they are right among the files, are links to their pages."""
    return re.sub(r"(\]\([^)\s#]+)\.ipynb(?=[)#])", r"\1.md", markdown)


def page(notebook: dict[str, Any], name: str) -> str:
    """A notebook in Markdown, with a link to its file behind the title.

    :param notebook: in the format of Jupyter, version 4, without outputs.
    """
    cells = [_cell(cell) for cell in notebook["cells"]]
    title, _, rest = cells[0].partition("\n")
    return "\n\n".join([title, f"This page is a notebook: [{name}]({name}).", rest.strip(), *cells[1:]]) + "\n"


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    return source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
