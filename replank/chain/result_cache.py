"""A cache of results in a JSON file, so that a search that is started again computes nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from replank.system.errors import ArtifactError
from replank.system.json_files import write_json

Value = TypeVar("Value")


class ResultCache:
    """JSON values by key, in a file that is written after each new one.

    :raises ArtifactError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        if path.exists():
            try:
                self._values = dict(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError):
                raise ArtifactError(f"{path} is damaged", hint="delete it; finished stages are kept") from None

    def get(self, key: str, compute: Callable[[], Value]) -> Value:
        """The cached value, or else a computed one, which is then cached.

        :param compute: returns JSON values.
        """
        if key not in self._values:
            self._values[key] = compute()
            write_json(self._path, self._values)
        value: Value = self._values[key]
        return value
