"""Lower bounds on the latency of models that do not exist yet, from the roofline of this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from replank.models.source import Source
from replank_export.profile.flops import ForwardPass
from replank_export.profile.roofline import Machine as Machine
from replank_export.profile.roofline import measure_machine, roofline
from replank_export.profile.torch_flops import layer_of, torch_flops


@dataclass(frozen=True)
class Estimator:
    """Latency estimates for a torch model cut to fewer layers, at one input shape.

    :param source: the uncut model.
    :param length: tokens per text.
    """

    source: Source
    batch_size: int
    length: int

    def measure_machine(self) -> Machine:
        """The peak rates of this machine, measured on MatMuls of the model's shapes; takes seconds."""
        return measure_machine(self._forward_pass())

    def least_ms(self, machine: Machine, layers: int, precision: Literal["fp32", "int8"]) -> float:
        """The lower bound on the latency of the model's first layers, in milliseconds."""
        return roofline(self._cut(layers, precision), machine).ms

    def _forward_pass(self) -> ForwardPass:
        return torch_flops(self.source, self.batch_size, self.length)

    def _cut(self, layers: int, precision: Literal["fp32", "int8"]) -> ForwardPass:
        """The forward pass of the first layers, with linear layers in the given precision."""
        whole = self._forward_pass()
        bytes_each = {"fp32": 4, "int8": 1}[precision]

        def stays(name: str) -> bool:
            layer = layer_of(self.source, name)
            return layer is None or layer < layers

        return replace(
            whole,
            matmuls=tuple(
                replace(matmul, precision=precision if matmul.has_weight else matmul.precision)
                for matmul in whole.matmuls
                if stays(matmul.name)
            ),
            weights=tuple(
                replace(weight, bytes=bytes_each * weight.parameters) for weight in whole.weights if stays(weight.name)
            ),
        )
