"""A cache of results in a JSON file, so that a search that is started again computes nothing twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from replank.system.errors import ArtifactError
from replank.system.json_files import write_json

Value = TypeVar("Value")


class ResultCache:
    """JSON values by name and by the facts that they follow from, in a file that is written after each new one.

    :raises ArtifactError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: dict[str, Any] = {}
        self._passing: dict[str, Any] = {}
        if path.exists():
            try:
                self._written = dict(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError):
                raise ArtifactError(f"{path} is damaged", hint="delete it; finished stages are kept") from None

    def find(self, name: str) -> Any:
        """The written value that follows from no facts; ``None`` if there is none."""
        return self._written.get(name)

    def get(
        self,
        name: str,
        facts: Mapping[str, Any],
        compute: Callable[[], Value],
        is_final: Callable[[Value], bool] = lambda _: True,
    ) -> Value:
        """The cached value, or else a computed one, which is then cached.

        :param name: what it is, for people.
        :param facts: JSON values that it follows from: of other facts, it is another value.
        :param compute: returns JSON values.
        :param is_final: whether a computed value is written; else it holds until this process ends.
        """
        content = json.dumps(facts, sort_keys=True)
        key = f"{name} [{hashlib.sha256(content.encode()).hexdigest()[:16]}]" if facts else name
        for known in (self._written, self._passing):
            if key in known:
                value: Value = known[key]
                return value
        value = compute()
        if is_final(value):
            self._written[key] = value
            write_json(self._path, self._written)
        else:
            self._passing[key] = value
        return value
