"""The configuration of a search: that of each stage, or the few settings in which most searches differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from replank.chain.plan import SchemeName
from replank.chain.search_choice import FP32, int8_name
from replank.system.errors import FieldError
from replank.system.settings import setting

if TYPE_CHECKING:
    from replank_compress.methods.theseus import TheseusConfig
    from replank_export.convert import ExportConfig
    from replank_export.schemes import Scheme


@dataclass(frozen=True)
class SearchPlan:
    """The configuration of each stage, the same for all depths.

    :param compress: its ``layers`` are replaced by each depth.
    :param int8: by :func:`int8_name`.
    """

    compress: TheseusConfig
    export: ExportConfig
    int8: Mapping[str, Scheme]

    @property
    def precisions(self) -> tuple[str, ...]:
        """The names of all precisions that are tried."""
        return (FP32, *self.int8)


@dataclass(frozen=True)
class SearchConfig:
    """The settings in which most searches differ.

    :raises FieldError: a value out of range.
    """

    epochs: float = setting(5.0, "Passes over the training split for each successor.")
    seed: int = setting(42, "Seed of everything random.")
    max_drop: float = setting(0.005, "Loss of the headline metric allowed to INT8: 0.005 is half a point.")
    schemes: tuple[str, ...] | None = setting(
        None,
        "Schemes of INT8 to try, such as static,integer; by default those that quantize a graph, on the CPU. auto: the "
        "fastest of them, on its fastest provider.",
        has_commas=True,
    )

    def __post_init__(self) -> None:
        known = get_args(SchemeName)
        if self.schemes is not None and (set(self.schemes) - set(known) or len(set(self.schemes)) < len(self.schemes)):
            raise FieldError("schemes", ",".join(self.schemes), f"some of {', '.join(known)}, each once")
        if not 0 < self.epochs < math.inf:
            raise FieldError("epochs", self.epochs, "more than 0")

    def plan(self) -> SearchPlan:
        """The configuration of each stage."""
        from replank_compress.methods.theseus import TheseusConfig
        from replank_export.convert import ExportConfig
        from replank_export.int8 import SCHEMES
        from replank_export.schemes import untimed

        # Whether INT8 is faster is measured for each candidate, at the budget's own shape.
        return SearchPlan(
            TheseusConfig(epochs=self.epochs, seed=self.seed),
            ExportConfig(),
            {int8_name(name): untimed(name, self.max_drop) for name in self.schemes or SCHEMES},
        )
