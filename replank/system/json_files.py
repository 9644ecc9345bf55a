"""JSON files: objects of model folders, and files that are replaced as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from replank.system.errors import ModelError
from replank.system.files import replace_file


def read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """A JSON object from a model folder.

    :param optional: an absent file reads as ``{}``.
    :raises ModelError: the file is missing or is not a JSON object.
    """
    if optional and not path.exists():
        return {}
    values = _read(path)
    if not isinstance(values, dict):
        raise ModelError(f"{path} is not a JSON object")
    return values


def read_json_objects(path: Path) -> list[dict[str, Any]]:
    """A list of JSON objects from a model folder.

    :raises ModelError: the file is missing or is no such list.
    """
    values = _read(path)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ModelError(f"{path} is no list of JSON objects")
    return values


def write_json(path: Path, values: Any) -> None:
    """Replace a file by JSON values, indented by one space; missing folders are made.

    :raises OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(values, indent=1) + "\n")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} has no {path.name}") from None
    except (ValueError, OSError, RecursionError) as error:
        raise ModelError(f"cannot read {path}: {error}") from None
