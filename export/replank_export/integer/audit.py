"""Audit of a graph: which of its tensors are of floating point."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import onnx
from onnx import TensorProto, shape_inference

from replank.system.errors import ModelError
from replank_export.integer.head import HEAD

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}


@dataclass(frozen=True)
class Audit:
    """The tensors of a graph by type.

    :param types: the number of tensors of each type between the inputs and the head.
    :param float_tensors: the tensors of floating point: all of them in the head.
    """

    types: dict[str, int]
    float_tensors: tuple[str, ...]


def audit(model: onnx.ModelProto, output: str) -> Audit:
    """The types of all tensors of a graph, constants included.

    :param output: the graph's output, which the head gives.
    :raises ModelError: a tensor of floating point is not the head's, or the type of one is not known.
    """
    graph = shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    made = [name for node in graph.node for name in node.output]
    if unknown := [name for name in made if not types.get(name)]:
        raise ModelError(f"the type of the tensor {unknown[0]} cannot be told")
    # A constant belongs to the head if nothing but the head reads it.
    head = {node.name for node in graph.node if _is_heads(node.name) or output in node.output}
    outside = {
        name for node in graph.node if node.name not in head for name in (*node.input, *node.output) if name in types
    }
    if astray := sorted(name for name in outside if types[name] in _FLOATS):
        raise ModelError(f"the tensor {astray[0]} before the head is of floating point")
    counted = Counter(TensorProto.DataType.Name(types[name]).lower() for name in outside)
    floats = tuple(sorted(name for name, kind in types.items() if kind in _FLOATS))
    return Audit(dict(sorted(counted.items())), floats)


def _is_heads(name: str) -> bool:
    return name.startswith(f"{HEAD}.")
