"""Attacked texts as they are done, in a file beside the result: an attack that is started again goes on behind them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from replank.robustness.texts import AttackedText
from replank.system.errors import UsageError
from replank.system.typed_json import dataclass_from_json, json_values

_log = logging.getLogger(__name__)


class Journal:
    """A file of a line for each text, which is deleted when the result is written.

    :param out: the result's file.
    :param fingerprint: JSON values that the texts follow from, beside the victim.
    :param force: replace what another attack left.
    :raises UsageError: another attack left the file, or a line of it is damaged.
    """

    def __init__(self, out: Path, fingerprint: dict[str, Any], *, force: bool) -> None:
        self._path = out.with_name(f"{out.name}.partial.jsonl")
        self._texts: dict[tuple[str, int], AttackedText] = {}
        head = json.dumps({"attack": fingerprint}, sort_keys=True)
        lines = self._path.read_text(encoding="utf-8").split("\n") if self._path.is_file() else []
        if lines and lines[0] != head:
            if not force:
                raise UsageError(
                    f"{self._path} is of an attack with other models, texts or settings",
                    hint="delete it, choose another `out`, or replace it with `force=True`",
                )
            lines = []
        # What stands behind the last line's end was cut off in the middle.
        whole = [head, *lines[1:-1]]
        for number, line in enumerate(whole[1:], 2):
            victim, text = self._parse(number, line)
            self._texts[victim, text.row] = text
        if self._texts:
            _log.info("%d attacked texts are taken from %s", len(self._texts), self._path)
        self._path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")

    def _parse(self, number: int, line: str) -> tuple[str, AttackedText]:
        try:
            values = json.loads(line)
            return str(values["victim"]), dataclass_from_json(AttackedText, values["text"])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{self._path}, line {number}: expected an attacked text: {error}", hint="delete the file to begin anew"
            ) from None

    def find(self, victim: str, row: int) -> AttackedText | None:
        """A text that an earlier run attacked.

        :param victim: the model's digest.
        """
        return self._texts.get((victim, row))

    def add(self, victim: str, text: AttackedText) -> None:
        """Keep a text."""
        line = json.dumps({"victim": victim, "text": json_values(text)})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def delete(self) -> None:
        """The result holds all of it."""
        self._path.unlink(missing_ok=True)
