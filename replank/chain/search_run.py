"""One search in progress: estimates, short runs, full trainings, and the finished candidates so far."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replank.chain.budget import Budget
from replank.chain.costs import measure_costs
from replank.chain.places import place_of
from replank.chain.result_cache import ResultCache
from replank.chain.search_choice import (
    FP32,
    Candidate,
    best_of,
    depths_of,
    explain_losses,
    hopes,
)
from replank.chain.search_plan import SearchPlan
from replank.chain.search_probes import Probes
from replank.chain.search_result import SearchResult
from replank.chain.stage_folders import StageFolders
from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.models.provenance import config_json
from replank.models.source import Source
from replank.models.training_facts import TrainingFacts
from replank.runtime.evaluate import evaluate
from replank.runtime.load import load_model
from replank.system.environment import machine, versions
from replank.system.errors import QualityGateError
from replank.system.progress import progress
from replank.tasks.task import headline

if TYPE_CHECKING:
    from replank_compress.methods.theseus import TheseusConfig

# The share of a short run in the full training: three of them cost less than a third of a full run in vain.
_SHORT = 0.1
_log = logging.getLogger(__name__)


class SearchRun:
    """A search in progress."""

    def __init__(
        self,
        predecessor: Source,
        out: Path,
        plan: SearchPlan,
        budget: Budget,
        data_config: DataConfig,
        data: Dataset,
        cache: ResultCache,
    ) -> None:
        self._predecessor, self._out, self._plan, self._budget = predecessor, out, plan, budget
        self._data_config, self._data, self._cache = data_config, data, cache
        self._folders = StageFolders(out, data)
        self._reference: float | None = None
        self._shorts: dict[int, float] = {}
        self._fulls: dict[int, float] = {}
        depths = depths_of(predecessor.layers)
        self.candidates: list[Candidate] = [
            Candidate(depth, precision) for depth in depths for precision in plan.precisions
        ]
        self.winner: Candidate | None = None

    def estimate(self) -> None:
        """Estimate all candidates; those far outside the budget are out."""
        probes = Probes(
            self._predecessor, self._out / "probes", self._cache, self._budget, self._plan.export, self._plan.int8
        )
        probes.estimate(self.candidates)
        _log.info(
            "%d of %d candidates may meet the budget of %s", len(self._open()), len(self.candidates), self._budget
        )

    def train(self) -> None:
        """Finish the predecessor's own depth, which takes no training; then train depths while one may win."""
        if not self._open():
            return
        self._reference = self._dev(self._predecessor)
        own = self._predecessor.layers
        if self._open(own):
            self._finish(own, self._predecessor)
        while depth := self._next_depth():
            successor = self._folders.stage(
                f"{depth}/successor", self._stage(), self._predecessor, self._config(depth), self._data_config
            )
            self._fulls[depth] = _best_dev(successor)
            self._finish(depth, successor)
        explain_losses(self.candidates, self.winner, self._budget)

    def folder(self, entry: Candidate) -> Path:
        """The folder of a candidate's artifact."""
        return self._out / str(entry.layers) / entry.precision

    def result(self) -> SearchResult:
        """The state of the search."""
        return SearchResult(
            predecessor=self._predecessor.short_name,
            task=self._data.task,
            budget=self._budget,
            reference=self._reference,
            short_runs=dict(self._shorts),
            machine=machine(),
            versions=versions(),
            candidates=tuple(self.candidates),
            winner=self.winner,
        )

    def _open(self, depth: int | None = None) -> list[Candidate]:
        """The unfinished candidates that may still win, of one depth or of all."""
        return [
            entry
            for entry in self.candidates
            if entry.why is None and entry.measured is None and depth in (None, entry.layers)
        ]

    def _next_depth(self) -> int | None:
        """The depth to train next: the most promising one, or ``None`` if that cannot win and all are out."""
        depths = sorted({entry.layers for entry in self._open()} - self._fulls.keys(), reverse=True)
        if not depths:
            return None
        if len(depths) == 1 and not self._fulls and self.winner is None:
            return depths[0]
        for depth in depths:
            if depth not in self._shorts:
                self._shorts[depth] = self._short_run(depth)
        hoped = hopes(self._shorts, self._fulls, self._reference or 0.0)
        best = max(depths, key=lambda depth: hoped[depth])
        needed = (self._budget.min_retention or 0.0) * (self._reference or 0.0)
        if self.winner is not None:
            needed = max(needed, self.winner.dev or 0.0)
        if hoped[best] >= needed or not (self._fulls or self.winner):
            return best
        for entry in self._open():
            entry.why = (
                f"not trained: a short run reached {self._shorts[entry.layers]:.4f} on dev, a full run may reach "
                f"{hoped[entry.layers]:.4f}, and {needed:.4f} is needed"
            )
        return None

    def _short_run(self, depth: int) -> float:
        """The headline metric on dev after a tenth of the training."""
        config = self._config(depth)
        short = replace(config, epochs=_SHORT * config.epochs)
        name = f"{depth}/short"
        return _best_dev(self._folders.stage(name, self._stage(), self._predecessor, short, self._data_config))

    def _finish(self, depth: int, model: Source) -> None:
        """Export a model of one depth, quantize it in the precisions that may still win, and measure it."""
        from replank_export.convert import export

        onnx = self._folders.stage(f"{depth}/{FP32}", export, model, self._plan.export, self._data_config)
        sources = {}
        for entry in self._open(depth):
            source = onnx if entry.precision == FP32 else self._quantized(entry, model, onnx)
            if source is not None:
                sources[entry.name] = source
        if not sources:
            return
        costs = measure_costs([source.folder for source in sources.values()], self._budget, self._cache)
        for entry in self.candidates:
            if source := sources.get(entry.name):
                entry.dev = self._dev(source)
                entry.quality = source.quality.metrics if source.quality else None
                retention = entry.dev / self._reference if self._reference else None
                entry.measured = replace(costs[source.folder.name], retention=retention)
        self.winner = best_of(self.candidates, self._budget)

    def _quantized(self, entry: Candidate, model: Source, onnx: Source) -> Source | None:
        """The model in INT8; ``None``, which is cached, if no choice of nodes keeps its quality.

        :param onnx: the model's graph in fp32.
        """
        from replank_export.schemes import quantize

        config = self._plan.int8[entry.precision]
        origin = model if config.takes == "torch" else onnx
        name = f"{entry.layers}/{entry.precision}"

        def refusal() -> str | None:
            try:
                self._folders.stage(name, quantize, origin, config, self._data_config)
            except QualityGateError as error:
                return error.message
            return None

        facts = {"model": origin.digest, "config": config_json(config), "data": self._data.digests}
        entry.why = self._cache.get(f"refusal of {name}", facts | {"versions": versions()}, refusal)
        return None if entry.why else self._folders.stage(name, quantize, origin, config, self._data_config)

    def _dev(self, source: Source) -> float:
        """The headline metric on dev."""

        def measured() -> float:
            with progress(f"evaluate {source.name} on dev", len(self._data.split("dev"))) as advance:
                model = load_model(source, task=self._data.task, device=place_of(source))
                quality = evaluate(model, self._data, "dev", progress=advance)
            return quality.metrics[self._data.task.headline]

        data = {"task": self._data.task.to_json(), "rows": self._data.split("dev").digest}
        facts = {"model": source.digest, "data": data, "versions": versions()}
        return self._cache.get(f"dev of {source.short_name}", facts, measured)

    def _config(self, depth: int) -> TheseusConfig:
        return replace(self._plan.compress, layers=depth)

    def _stage(self) -> Any:
        from replank_compress.successor import compress

        return compress


def _best_dev(source: Source) -> float:
    """The headline metric on dev of the best checkpoint."""
    manifest = source.manifest
    assert manifest is not None  # noqa: S101 - a stage made it
    return headline(manifest.made_by.facts_of(TrainingFacts).best_dev)[1]
