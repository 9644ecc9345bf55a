"""The result of a search, as it is written to ``search.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from replank.chain.budget import Budget
from replank.chain.search_choice import Candidate, front
from replank.models.provenance import config_json
from replank.system.environment import Machine
from replank.tasks.task import Task

RESULT_SCHEMA = 1


@dataclass(frozen=True)
class SearchResult:
    """The state of a search at its end, or when it was interrupted.

    :param predecessor: its name.
    :param reference: the predecessor's headline metric on dev; ``None`` if it was not needed.
    :param short_runs: the headline metric on dev after the short run of each depth.
    :param candidates: all of them, with what is known of each and why it has not won.
    :param winner: ``None`` while there is none.
    """

    predecessor: str
    task: Task
    budget: Budget
    reference: float | None
    short_runs: dict[int, float]
    machine: Machine
    versions: dict[str, str]
    candidates: tuple[Candidate, ...]
    winner: Candidate | None

    @property
    def front(self) -> list[str]:
        """The names of the finished candidates that no other beats in both quality and time, the fastest first."""
        return [entry.name for entry in front(self.candidates)]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "schema": RESULT_SCHEMA,
            "predecessor": self.predecessor,
            "task": self.task.to_json(),
            "budget": config_json(self.budget),
            "reference": self.reference,
            "short_runs": {str(depth): value for depth, value in self.short_runs.items()},
            "machine": asdict(self.machine),
            "versions": self.versions,
            "candidates": [{"name": entry.name} | asdict(entry) for entry in self.candidates],
            "front": self.front,
            "winner": self.winner.name if self.winner else None,
        }
