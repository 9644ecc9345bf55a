"""The form in which a model of relation prediction was taught, and must be asked: how paths become its contexts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# One path a row, of which the best speaks; several in one row; or the question alone, as KG-BERT (Yao et al., 2019).
ContextForm = Literal["individual", "combined", "none"]
_COMBINED_PATHS = 3


@dataclass(frozen=True)
class Reasoning:
    """The form of a model's questions.

    :param max_edges: edges of a path, at most.
    :param max_paths: paths of a candidate, at most; of combined ones those of its row.
    :param distinct: whether of paths with the same relations, in the same order, only one counts.
    :param relations: the names of the relations that were trained.
    """

    context: ContextForm
    max_edges: int
    max_paths: int
    distinct: bool
    relations: tuple[str, ...]

    @property
    def paths_asked(self) -> int:
        """The paths that are looked up for a candidate; 0 where the question stands alone."""
        limits = {"individual": self.max_paths, "combined": min(self.max_paths, _COMBINED_PATHS), "none": 0}
        return limits[self.context]
