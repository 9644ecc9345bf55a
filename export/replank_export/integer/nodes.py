"""Building of ONNX graphs of integers: nodes, constants, and shifts to the right by what a target's kernels have."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

IntegerTarget = Literal["cpu", "cuda"]
"""Where kernels are fast: CPUs multiply uint8 by int8, 30 times as fast as int8 by int8; CUDA has int8 by int8 only."""

_TYPES = {
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "int32": TensorProto.INT32,
    "uint32": TensorProto.UINT32,
    "int64": TensorProto.INT64,
    "uint64": TensorProto.UINT64,
    "float32": TensorProto.FLOAT,
}


class Nodes:
    """The nodes and constants of a graph that is being built.

    :ivar nodes: in the order of computation.
    :ivar constants: the initializers.
    """

    def __init__(self, target: IntegerTarget) -> None:
        self.target = target
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._known: dict[tuple[Any, ...], str] = {}

    @property
    def zero_point(self) -> int:
        """The integer that stands for zero in an 8-bit activation."""
        return 128 if self.target == "cpu" else 0

    @property
    def activation_type(self) -> str:
        """The type of an 8-bit activation that a linear layer reads."""
        return "uint8" if self.target == "cpu" else "int8"

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node with one output.

        :param name: of the output; it has a number where it is empty.
        """
        output = name or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, values: Any, kind: str) -> str:
        """A constant; equal ones are the same."""
        array: NDArray[Any] = np.ascontiguousarray(np.asarray(values).astype(kind)).reshape(np.shape(values))
        key = (kind, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"constant_{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def cast(self, value: str, kind: str, name: str = "") -> str:
        """A change of type, of a value that fits the new one."""
        return self.add("Cast", value, to=_TYPES[kind], name=name)

    def shift(self, value: str, bits: int, kind: str) -> str:
        """A value that is not negative, shifted to the right.

        :param kind: ``int32`` or ``int64``, which it is and stays.
        """
        if self.target == "cuda":  # which has no shift
            return self.add("Div", value, self.constant(1 << bits, kind))
        unsigned = self.add(
            "BitShift", self.cast(value, f"u{kind}"), self.constant(bits, f"u{kind}"), direction="RIGHT"
        )
        return self.cast(unsigned, kind)

    def clip(self, value: str, low: int, high: int) -> str:
        """An int32 within bounds."""
        return self.add("Min", self.add("Max", value, self.constant(low, "int32")), self.constant(high, "int32"))
