"""The quality gate on pairs of scheme and execution provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from replank.data.examples import Dataset
from replank.models.int8_facts import Int8Trial
from replank.models.source import open_source
from replank.runtime.evaluate import evaluate
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.provider_measurement import REFERENCE, objections
from replank.runtime.providers import Device
from replank.system.errors import ReplankError
from replank.system.progress import progress
from replank_export.allowed_drop import allowed


@dataclass(frozen=True)
class QualityGate:
    """The gate that a pair must pass: the task's metric, or without data the answers of the CPU.

    :param graphs: the folder of each INT8 graph by its scheme's name.
    :param source: the loaded source, and
    :param source_metric: its headline metric on the split that chooses; ``None`` without data.
    :param max_drop: the allowed loss of that metric, as a fraction.
    """

    graphs: Mapping[str, Path]
    source: Model
    data: Dataset | None
    source_metric: float | None
    max_drop: float

    @classmethod
    def of(cls, graphs: Mapping[str, Path], source: Model, data: Dataset | None, max_drop: float) -> QualityGate:
        """The gate, with the source's metric computed."""
        return cls(graphs, source, data, None if data is None else _metric(source, data), max_drop)

    def judged(self, trial: Int8Trial) -> Int8Trial:
        """A trial with its metric, and why it may not be used where it does not pass; the source's own passes."""
        if trial.why is not None:
            return trial
        if trial.scheme not in self.graphs:
            return replace(trial, metric=self.source_metric) if trial.device == REFERENCE else trial
        try:
            model = self._load(trial.scheme, trial.device)
            if self.data is None:
                return replace(trial, why=self._objection(trial, model))
            metric = _metric(model, self.data)
        except ReplankError as error:
            return replace(trial, why=error.message)
        drop = (self.source_metric or 0.0) - metric
        if drop <= self.max_drop:
            return replace(trial, metric=metric)
        lost = f"loses {100 * drop:.2f} points; {allowed(self.max_drop, self.data.split(self.data.chosen_on))}"
        return replace(trial, metric=metric, why=lost)

    def _objection(self, trial: Int8Trial, model: Model) -> str | None:
        if trial.device == REFERENCE:
            return None
        models = {REFERENCE: self._load(trial.scheme, REFERENCE), trial.device: model}
        return objections(models).get(trial.device)

    def _load(self, scheme: str, device: Device) -> Model:
        return load_model(open_source(self.graphs[scheme]), task=self.source.task, device=device)


def _metric(model: Model, data: Dataset) -> float:
    """The headline metric on the split that chooses."""
    split = data.chosen_on
    with progress(f"evaluate {model.source.short_name} on {model.device}", len(data.split(split))) as advance:
        return evaluate(model, data, split, progress=advance).metrics[data.task.headline]
