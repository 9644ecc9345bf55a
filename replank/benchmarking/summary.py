"""The summary of a chain: quality and speed of its models side by side, as it is kept in ``summary.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replank.runtime.clock import Clock
from replank.system.environment import Machine
from replank.system.errors import DataError, ReplankError
from replank.system.typed_json import added, dataclass_from_json, object_values
from replank.tasks.task import Task, headline

SUMMARY = "summary.json"


@dataclass(frozen=True)
class SummaryModel:
    """One model of a chain.

    :param name: shown to people.
    :param folder: the name of its folder.
    :param metrics: on the summary's rows, the headline metric first.
    :param bytes: of the weights or the graph.
    :param p50_ms: the median time of one text, by the summary's clock.
    :param speed_up: its speed as a multiple of the first model's.
    """

    name: str
    folder: str
    metrics: dict[str, float]
    bytes: int
    p50_ms: float
    speed_up: float

    @property
    def headline(self) -> float:
        """The value of the headline metric."""
        return headline(self.metrics)[1]


@dataclass(frozen=True)
class Summary:
    """The models of a chain, the predecessor first.

    :param split: the name of the split that metrics were computed on, and
    :param rows: the number of its rows.
    :param chosen_on_it: see :class:`replank.models.quality.Quality`; of any of the models.
    :param baselines: see :class:`replank.models.quality.Quality`.
    :param compared_with: see :class:`replank.models.quality.Quality`.
    :param length: tokens of the text that was measured with.
    :param is_disturbed: whether the machine was busy during the measurement; ``disturbed`` in JSON.
    :param clock: see :class:`replank.benchmarking.result.Benchmark`.
    """

    task: Task
    split: str
    rows: int
    length: int
    is_disturbed: bool
    machine: Machine
    versions: dict[str, str]
    models: tuple[SummaryModel, ...]
    chosen_on_it: bool | None = None
    baselines: dict[str, dict[str, float]] | None = None
    compared_with: str | None = None
    clock: Clock | None = added("0.6.0")

    def retention(self, model: SummaryModel) -> float | None:
        """A model's headline metric as a fraction of the first model's; ``None`` if that is not above 0."""
        first = self.models[0].headline
        return model.headline / first if first > 0 else None

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        values = object_values(self)
        return {"disturbed" if key == "is_disturbed" else key: value for key, value in values.items()}

    @classmethod
    def from_json(cls, values: Any) -> Summary:
        """Read a summary.

        :raises DataError: a value is missing or of another type.
        """
        try:
            summary = dataclass_from_json(cls, values | {"is_disturbed": values["disturbed"]})
        except (ValueError, KeyError, TypeError, ReplankError) as error:
            raise DataError(f"not the summary of a chain: {error}") from None
        if not summary.models or not all(model.metrics for model in summary.models):
            raise DataError("the summary of a chain without models or metrics")
        return summary
