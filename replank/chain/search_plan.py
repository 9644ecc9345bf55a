"""The configuration of a search: that of each stage, or the few settings in which most searches differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replank.chain.search_choice import FP32, int8_name
from replank.system.errors import FieldError
from replank.system.settings import setting

if TYPE_CHECKING:
    from replank_compress.methods.theseus import TheseusConfig
    from replank_export.convert import ExportConfig
    from replank_export.int8.config import Int8Config


@dataclass(frozen=True)
class SearchPlan:
    """The configuration of each stage, the same for all depths.

    :param compress: its ``layers`` are replaced by each depth.
    :param int8: by :func:`int8_name`.
    """

    compress: TheseusConfig
    export: ExportConfig
    int8: Mapping[str, Int8Config]

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

    def __post_init__(self) -> None:
        if not 0 < self.epochs < math.inf:
            raise FieldError("epochs", self.epochs, "more than 0")

    def plan(self) -> SearchPlan:
        """The configuration of each stage."""
        from replank_compress.methods.theseus import TheseusConfig
        from replank_export.convert import ExportConfig
        from replank_export.int8 import SCHEMES

        # Whether INT8 is faster is measured for each candidate, at the budget's own shape.
        return SearchPlan(
            TheseusConfig(epochs=self.epochs, seed=self.seed),
            ExportConfig(),
            {int8_name(name): scheme(max_drop=self.max_drop, allow_slower=True) for name, scheme in SCHEMES.items()},
        )
