"""A file of what was found out already, so that a search that is started again asks nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from replank.system.errors import ArtifactError

Value = TypeVar("Value")


def write_json(path: Path, values: Any) -> None:
    """Write a whole file or nothing: beside its place, and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


class Journal:
    """Answers by question, in a JSON file that is written after each.

    :raises ArtifactError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Any] = {}
        if path.exists():
            try:
                self._found = dict(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError):
                raise ArtifactError(f"{path} is damaged", hint="delete it; finished stages are kept") from None

    def once(self, question: str, answer: Callable[[], Value]) -> Value:
        """The answer that is known, or a new one, which is written down.

        :param answer: gives JSON values.
        """
        if question not in self._found:
            self._found[question] = answer()
            write_json(self._path, self._found)
        known: Value = self._found[question]
        return known
