"""GELU's tanh approximation in ONNX's own operators, for providers that have no ``FastGelu``.

A session of ONNX Runtime's CPU provider makes a ``FastGelu`` of them again, and OpenVINO a GELU of its own: neither is
slower for it, nor are the numbers others (figures in benchmarks/log.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import pi, sqrt

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

# Of 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) (Hendrycks and Gimpel 2016, arXiv:1606.08415).
_CONSTANTS = {"three": 3.0, "cubic": 0.044715, "root": sqrt(2 / pi), "one": 1.0, "half": 0.5}


def spell_out_gelus(model: onnx.ModelProto) -> None:
    """Rewrite each ``FastGelu`` of an fp32 graph in place."""
    if not any(node.op_type == "FastGelu" for node in model.graph.node):
        return
    names = {name: f"tanh_gelu_{name}" for name in _CONSTANTS}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        nodes += _spelt_out(node, names) if node.op_type == "FastGelu" else [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), names[name]) for name, value in _CONSTANTS.items()
    )


def _spelt_out(gelu: NodeProto, constants: dict[str, str]) -> Iterator[NodeProto]:
    """The order of the operators is that of transformers' ``gelu_new``, by which sessions know it."""
    hidden, name = gelu.input[0], gelu.name
    if len(gelu.input) > 1 and gelu.input[1]:
        biased = f"{name}_biased"
        yield helper.make_node("Add", list(gelu.input), [biased], name=biased)
        hidden = biased
    cube, term, inner, scaled, tanh, sum_, half = (
        f"{name}_{part}" for part in ("cube", "term", "inner", "scaled", "tanh", "sum", "half")
    )
    yield helper.make_node("Pow", [hidden, constants["three"]], [cube], name=cube)
    yield helper.make_node("Mul", [cube, constants["cubic"]], [term], name=term)
    yield helper.make_node("Add", [hidden, term], [inner], name=inner)
    yield helper.make_node("Mul", [inner, constants["root"]], [scaled], name=scaled)
    yield helper.make_node("Tanh", [scaled], [tanh], name=tanh)
    yield helper.make_node("Add", [tanh, constants["one"]], [sum_], name=sum_)
    yield helper.make_node("Mul", [hidden, constants["half"]], [half], name=half)
    yield helper.make_node("Mul", [half, sum_], list(gelu.output), name=name)
