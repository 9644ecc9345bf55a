"""Facts that stand in an ONNX file: its operators' version, outputs, tables, and the files that hold its weights.

Read here without the package ``onnx``, which a server does not have, and without the weights: the file is passed over,
however large. The field numbers are those of onnx.proto, the encoding is protobuf's.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# Fields of ModelProto, OperatorSetIdProto and StringStringEntryProto.
_GRAPH, _OPSET_IMPORT = 7, 8
_DOMAIN, _VERSION = 1, 2
_KEY, _VALUE = 1, 2
# Fields of GraphProto, NodeProto and TensorProto.
_NODE, _INITIALIZER, _OUTPUT = 1, 5, 12
_NODE_INPUT, _NODE_OUTPUT, _OPERATOR = 1, 2, 4
_DIMENSION, _TENSOR_NAME = 1, 8
# From ValueInfoProto, whose name is the first field, to the dimensions of its shape.
_NAME, _WAY_TO_DIMENSIONS, _SIZE = 1, (2, 1, 2), 1
# Operators that look up rows, with the places of a table and of its indices among their inputs.
_LOOK_UPS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "Gather": ((0, 1),),
    "EmbedLayerNormalization": ((2, 0), (4, 1)),
    "QEmbedLayerNormalization": ((2, 0), (4, 1)),
}
# Operators whose output has the rows of their first input.
_SAME_ROWS = {"Cast", "Identity", "DequantizeLinear"}
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


@dataclass(frozen=True)
class GraphFacts:
    """What a graph gives, and what it looks up.

    :param outputs: the shape of each output; ``None`` for a size that is left open.
    :param weights: the shapes of the weights by name, wherever their values lie.
    :param rows: by the name of an input that is looked up in a table, the number of the table's rows.
    """

    outputs: Mapping[str, tuple[int | None, ...]]
    weights: Mapping[str, tuple[int, ...]]
    rows: Mapping[str, int]


def graph_facts(path: Path) -> GraphFacts:
    """The facts about a graph.

    :raises EOFError: the file is cut off.
    :raises ValueError: it is no ONNX graph.
    """
    outputs: dict[str, tuple[int | None, ...]] = {}
    weights: dict[str, tuple[int, ...]] = {}
    nodes = []
    with path.open("rb") as file:
        for field, end in _fields(file, path.stat().st_size):
            if field != _GRAPH:
                continue
            for part, value in _fields(file, end):
                if part == _OUTPUT:
                    outputs.update([_output(file, value)])
                elif part == _INITIALIZER:
                    weights.update([_weight(file, value)])
                elif part == _NODE:
                    nodes.append(_node(file, value))
    return GraphFacts(outputs, weights, _looked_up(nodes, weights))


def operators_of(path: Path) -> Counter[str]:
    """The number of nodes of each operator; those of a graph within a graph are not counted.

    :raises EOFError: the file is cut off.
    :raises ValueError: it is no ONNX graph.
    """
    with path.open("rb") as file:
        return Counter(
            _node(file, value)[0]
            for field, end in _fields(file, path.stat().st_size)
            if field == _GRAPH
            for part, value in _fields(file, end)
            if part == _NODE
        )


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


def _looked_up(nodes: list[tuple[str, list[str], list[str]]], weights: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The number of rows of the table that each of the graph's inputs is looked up in."""
    origin: dict[str, str] = {}
    rows: dict[str, int] = {}
    for operator, inputs, outputs in nodes:
        names = [origin.get(name, name) for name in inputs]
        if operator in _SAME_ROWS and names and outputs:
            origin[outputs[0]] = names[0]
        for table, indices in _LOOK_UPS.get(operator, ()):
            if indices < len(names) and table < len(names) and weights.get(names[table]):
                rows.setdefault(names[indices], weights[names[table]][0])
    return rows


def _output(file: BinaryIO, end: int) -> tuple[str, tuple[int | None, ...]]:
    """Name and shape in a ValueInfoProto."""
    name = ""
    shape: tuple[int | None, ...] = ()
    for field, value in _fields(file, end):
        if field == _NAME:
            name = _text(file, value)
        elif field == _WAY_TO_DIMENSIONS[0]:
            shape = tuple(_dimensions(file, value, _WAY_TO_DIMENSIONS[1:]))
    return name, shape


def _dimensions(file: BinaryIO, end: int, way: tuple[int, ...]) -> Iterator[int | None]:
    for field, value in _fields(file, end):
        if field != (way or (_DIMENSION,))[0]:
            continue
        if way:
            yield from _dimensions(file, value, way[1:])
        else:
            sizes = [size for key, size in _fields(file, value) if key == _SIZE]
            yield sizes[0] if sizes else None


def _weight(file: BinaryIO, end: int) -> tuple[str, tuple[int, ...]]:
    """Name and shape in a TensorProto, whose dimensions may be written one by one or together."""
    name = ""
    shape: list[int] = []
    for field, wire_type, value in _typed_fields(file, end):
        if field == _TENSOR_NAME:
            name = _text(file, value)
        elif field == _DIMENSION and wire_type == _NUMBER:
            shape.append(value)
        elif field == _DIMENSION:
            while file.tell() < value:
                shape.append(_number(file))
    return name, tuple(shape)


def _node(file: BinaryIO, end: int) -> tuple[str, list[str], list[str]]:
    """Operator, inputs and outputs in a NodeProto."""
    operator = ""
    inputs: list[str] = []
    outputs: list[str] = []
    for field, value in _fields(file, end):
        if field == _NODE_INPUT:
            inputs.append(_text(file, value))
        elif field == _NODE_OUTPUT:
            outputs.append(_text(file, value))
        elif field == _OPERATOR:
            operator = _text(file, value)
    return operator, inputs, outputs


def _text(file: BinaryIO, end: int) -> str:
    return file.read(end - file.tell()).decode("utf-8", "replace")


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
    return ((field, value) for field, _, value in _typed_fields(file, end))


def _typed_fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
    """Likewise, with protobuf's type between the two."""
    while file.tell() < end:
        key = _number(file)
        wire_type = key & 7
        if wire_type == _NUMBER:
            yield key >> 3, wire_type, _number(file)
        elif wire_type == _BYTES:
            length = _number(file)
            value = file.tell() + length
            if value > end:
                raise EOFError
            yield key >> 3, wire_type, value
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
