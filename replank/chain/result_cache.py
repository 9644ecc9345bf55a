"""A file of what was found out already, so that a search that is started again asks nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from replank.system.errors import ArtifactError
from replank.system.json_files import write_json

Value = TypeVar("Value")


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
