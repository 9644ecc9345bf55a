"""Lower bounds on the latency of models that do not exist yet, from the roofline of this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from replank.models.source import Source
from replank_export.profile.flops import Work
from replank_export.profile.roofline import Machine as Machine
from replank_export.profile.roofline import measure_machine, roofline
from replank_export.profile.torch_flops import layer_of, torch_work


@dataclass(frozen=True)
class Estimator:
    """Estimates for a torch model cut down to fewer layers, at one shape.

    :param source: the whole model.
    :param length: tokens of each text.
    """

    source: Source
    batch_size: int
    length: int

    def measure_machine(self) -> Machine:
        """Measure this machine with matrix multiplications of the model's shapes; takes seconds."""
        return measure_machine(self._work())

    def least_ms(self, machine: Machine, layers: int, precision: Literal["fp32", "int8"]) -> float:
        """The lower bound of the latency of the first layers, in milliseconds."""
        return roofline(self._first(layers, precision), machine).ms

    def _work(self) -> Work:
        return torch_work(self.source, self.batch_size, self.length)

    def _first(self, layers: int, precision: Literal["fp32", "int8"]) -> Work:
        """The work of the first layers, with linear layers in a precision."""
        work = self._work()
        bytes_each = {"fp32": 4, "int8": 1}[precision]

        def stays(name: str) -> bool:
            layer = layer_of(self.source, name)
            return layer is None or layer < layers

        return replace(
            work,
            products=tuple(
                replace(product, precision=precision if product.has_weight else product.precision)
                for product in work.products
                if stays(product.name)
            ),
            weights=tuple(
                replace(weight, bytes=bytes_each * weight.parameters) for weight in work.weights if stays(weight.name)
            ),
        )
