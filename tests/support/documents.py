"""README, contribution guide and pages of the site, and what stands in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
COMMAND_LINE = re.compile(r"^ *\$ (.+)$", re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.+?)^```", re.MULTILINE | re.DOTALL)
NOTEBOOK = DOCS / "tutorials" / "first_model.ipynb"


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def texts() -> dict[str, str]:
    """Everything that people read, by the name of its file; notebooks as their cells."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
    found = {path.relative_to(ROOT).as_posix(): read(path) for path in pages}
    for path in sorted(DOCS.rglob("*.ipynb")):
        cells = ["".join(cell["source"]) for cell in json.loads(read(path))["cells"]]
        found[path.relative_to(ROOT).as_posix()] = "\n\n".join(cells)
    return found
