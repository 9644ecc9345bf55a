"""Pages of notebooks: each is shown as text and code, and lies beside its page as a file."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        place = PurePosixPath(notebook.src_uri)
        text = page(json.loads(Path(str(notebook.abs_src_path)).read_text(encoding="utf-8")), place.name)
        files.append(File.generated(config, str(place.with_suffix(".md")), content=text))
    return files


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
