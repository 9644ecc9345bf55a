"""How a search makes its candidates: the configuration of each stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replank.chain.search_choice import DYNAMIC, STATIC

if TYPE_CHECKING:
    from replank_compress.methods.theseus import TheseusConfig
    from replank_export.convert import ExportConfig
    from replank_export.int8.config import Int8Config


@dataclass(frozen=True)
class SearchPlan:
    """The configuration of each stage, of all depths alike.

    :param compress: its ``layers`` are those of each depth.
    :param int8: by the names of :data:`PRECISIONS`.
    """

    compress: TheseusConfig
    export: ExportConfig
    int8: Mapping[str, Int8Config]

    @classmethod
    def of(cls, *, epochs: float, seed: int, max_drop: float) -> SearchPlan:
        """A plan from the few values that most searches differ in."""
        from replank_compress.methods.theseus import TheseusConfig
        from replank_export.convert import ExportConfig
        from replank_export.int8.config import DynamicInt8, StaticInt8

        # Whether INT8 is faster is measured for each candidate, at the budget's own shape.
        return cls(
            TheseusConfig(epochs=epochs, seed=seed),
            ExportConfig(),
            {
                DYNAMIC: DynamicInt8(max_drop=max_drop, allow_slower=True),
                STATIC: StaticInt8(max_drop=max_drop, allow_slower=True),
            },
        )
