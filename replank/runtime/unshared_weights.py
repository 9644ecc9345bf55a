"""Graphs whose 8-bit weights each have one reader, for sessions that change the type of weights."""

from __future__ import annotations

from pathlib import Path

from replank.system.extras import require


def unshared_weights(graph: Path | bytes) -> bytes:
    """A graph in which each int8 constant has one reader: a copy for every other.

    ONNX Runtime, where it makes weights unsigned for a CPU without VNNI, fails at the second reader of one.

    :param graph: a file, or the contents of one.
    :raises MissingExtraError: the package ``onnx`` is not installed.
    """
    require("onnx")
    import onnx

    model = onnx.load(str(graph)) if isinstance(graph, Path) else onnx.load_from_string(graph)
    constants = {constant.name: constant for constant in model.graph.initializer}
    read: set[str] = set()
    for number, node in enumerate(model.graph.node):
        for place, name in enumerate(node.input):
            if name not in constants or constants[name].data_type != onnx.TensorProto.INT8:
                continue
            if name in read:
                copy = model.graph.initializer.add()
                copy.CopyFrom(constants[name])
                copy.name = node.input[place] = f"{name}_of_node_{number}_{place}"
            read.add(name)
    return bytes(model.SerializeToString())
