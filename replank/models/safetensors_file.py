"""Facts that stand at the head of a safetensors file: its tensors' types, shapes and sizes. No tensor is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from replank.system.errors import ModelError
from replank.system.json_files import read_json

_LENGTH_BYTES = 8
_METADATA = "__metadata__"
# The limit of safetensors itself.
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as its file describes it.

    :param dtype: safetensors' name of the type, such as ``F32``.
    :param bytes: its size in the file.
    :param begin: its first byte in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    bytes: int
    begin: int


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a file by name.

    :raises ModelError: the file is cut off, or no safetensors file.
    """
    size, (start, header) = path.stat().st_size, _header(path)
    try:
        tensors = {name: _tensor(entry, start) for name, entry in header.items() if name != _METADATA}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _no_header(path) from None
    expected = start + sum(tensor.bytes for tensor in tensors.values())
    if size < expected:
        raise ModelError(f"{path} is cut off after {size} of {expected} bytes", hint="copy it again")
    return tensors


def stored_metadata(path: Path) -> dict[str, str]:
    """What a file says of itself, by name; nothing if it does not.

    :raises ModelError: the file is cut off, or no safetensors file.
    """
    found = _header(path)[1].get(_METADATA, {})
    if not isinstance(found, dict):
        raise _no_header(path)
    return {str(name): str(value) for name, value in found.items()}


def shard_names(index: Path) -> list[str]:
    """The names of the files that a ``model.safetensors.index.json`` divides the weights among, sorted.

    :raises ModelError: it names none, or one that does not lie beside it.
    """
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ModelError(f"{index} is damaged: it has no weight_map", hint="copy the model again")
    names = sorted({str(name) for name in places.values()})
    for name in names:
        if PurePath(name).name != name or name == "..":
            raise ModelError(f"{index} keeps weights in {name!r}; expected a file beside it")
    return names


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Where the tensors begin, and what stands before them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_LENGTH_BYTES)
        length = int.from_bytes(head, "little")
        if length > _LONGEST_HEADER:
            raise _no_header(path)
        content = file.read(length)
    if len(head) < _LENGTH_BYTES or len(content) < length:
        raise ModelError(f"{path} is cut off after {size} bytes", hint="copy it again")
    try:
        header = json.loads(content)
    except ValueError:
        raise _no_header(path) from None
    if not isinstance(header, dict):
        raise _no_header(path)
    return _LENGTH_BYTES + length, header


def _no_header(path: Path) -> ModelError:
    return ModelError(f"{path} is damaged: it has no safetensors header", hint="copy the model again")


def _tensor(entry: dict[str, Any], start: int) -> StoredTensor:
    begin, end = (int(offset) for offset in entry["data_offsets"])
    return StoredTensor(str(entry["dtype"]), tuple(int(size) for size in entry["shape"]), end - begin, start + begin)
