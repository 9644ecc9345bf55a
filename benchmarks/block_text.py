"""What blocks of README, docs and log are made of: results, paragraphs, and the machine that they were measured on."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"


def read_result(name: str) -> dict[str, Any]:
    """A result by its name."""
    values: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return values


def paragraph(text: str) -> str:
    """Text in the README's width; what is code in it stays whole."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def machine_line(result: dict[str, Any]) -> str:
    """What the numbers must be read with."""
    machine, versions = result["machine"], result["versions"]
    found = machine["instruction_sets"]
    vector = ", ".join(name for name in found if "vnni" in name or "amx" in name) or ", ".join(found)
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("torch", "transformers", "onnxruntime"))
    cores = "one core" if machine["cores"] == 1 else f"{machine['cores']} cores"
    return f"Measured on {cores} of an {machine['cpu']} ({vector}); {libraries}."
