"""Facts that stand in an ONNX file: the version of its operators, and the files that hold its weights.

Read here without the package ``onnx``, which a server does not have, and without the weights: the file is passed over,
however large. The field numbers are those of onnx.proto, the encoding is protobuf's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# Fields of ModelProto, OperatorSetIdProto and StringStringEntryProto.
_GRAPH, _OPSET_IMPORT = 7, 8
_DOMAIN, _VERSION = 1, 2
_KEY, _VALUE = 1, 2
# The fields of each message through which a tensor with external data can be reached, and the message that they hold.
_TENSOR, _EXTERNAL_DATA = "TensorProto", 13
_WAYS_TO_TENSORS = {
    "GraphProto": {1: "NodeProto", 5: _TENSOR},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {5: _TENSOR, 6: "GraphProto", 10: _TENSOR, 11: "GraphProto"},
}
# How protobuf writes values.
_NUMBER, _BYTES = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}
_LONGEST_NUMBER = 10


def opset_of(path: Path) -> int:
    """The version of ONNX's own operators.

    :raises EOFError: the file is cut off.
    :raises ValueError: it is no ONNX graph.
    """
    versions = []
    with path.open("rb") as file:
        for field, end in _fields(file, path.stat().st_size):
            if field == _OPSET_IMPORT:
                domain, version = b"", 0
                for key, value in _fields(file, end):
                    if key == _DOMAIN:
                        domain = file.read(value - file.tell())
                    elif key == _VERSION:
                        version = value
                versions += [version] if domain in (b"", b"ai.onnx") else []
    if len(versions) != 1:
        raise ValueError(f"expected one version, found {versions}")
    return versions[0]


def external_files(path: Path) -> list[str]:
    """The names of the files beside a graph that hold its weights, sorted; none if it holds them itself.

    :raises EOFError: the file is cut off.
    :raises ValueError: it is no ONNX graph.
    """
    names: set[str] = set()
    with path.open("rb") as file:
        for field, end in _fields(file, path.stat().st_size):
            if field == _GRAPH:
                names.update(_locations(file, end, "GraphProto"))
    return sorted(names)


def _locations(file: BinaryIO, end: int, message: str) -> Iterator[str]:
    """The locations of external data in a message that ends at ``end``."""
    for field, value in _fields(file, end):
        if message == _TENSOR and field == _EXTERNAL_DATA:
            entry = {key: file.read(stop - file.tell()) for key, stop in _fields(file, value)}
            if entry.get(_KEY) == b"location":
                yield entry.get(_VALUE, b"").decode("utf-8")
        elif inner := _WAYS_TO_TENSORS.get(message, {}).get(field):
            yield from _locations(file, value, inner)


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Each field of a protobuf message and its value; of bytes, where they end: the file stands where they begin."""
    while file.tell() < end:
        key = _number(file)
        wire_type = key & 7
        if wire_type == _NUMBER:
            yield key >> 3, _number(file)
        elif wire_type == _BYTES:
            length = _number(file)
            value = file.tell() + length
            if value > end:
                raise EOFError
            yield key >> 3, value
            file.seek(value)
        elif wire_type in _FIXED_BYTES:
            file.seek(_FIXED_BYTES[wire_type], os.SEEK_CUR)
        else:
            raise ValueError(f"no such kind of field: {wire_type}")


def _number(file: BinaryIO) -> int:
    """A number of seven bits a byte, the lowest first; all but the last byte have the eighth bit."""
    number = 0
    for place in range(_LONGEST_NUMBER):
        byte = file.read(1)
        if not byte:
            raise EOFError
        number |= (byte[0] & 127) << 7 * place
        if byte[0] < 128:
            return number
    raise ValueError("no number is that long")
