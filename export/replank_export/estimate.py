"""Lower bounds on the latency of models that do not exist yet, from the roofline of this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from replank.models.encoders import encoder_of
from replank.models.source import Source
from replank_export.profile.flops import Work
from replank_export.profile.roofline import Machine as Machine
from replank_export.profile.roofline import measure_machine, roofline
from replank_export.profile.torch_flops import torch_work


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
        path = encoder_of(self.source.config, self.source.name).layers
        layer = re.compile(rf"(?:^layer |\b{re.escape(path)}\.)(\d+)\b")
        bytes_each = {"fp32": 4, "int8": 1}[precision]

        def stays(name: str) -> bool:
            found = layer.search(name)
            return found is None or int(found[1]) < layers

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
