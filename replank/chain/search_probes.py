"""Estimated costs of a search's candidates, before anything is trained: neither time nor size depends on the weights.

First comes a lower bound on the time, from the roofline of the machine; it takes seconds and may rule out most
candidates. Of the rest, the deepest and the shallowest are cut out of the predecessor, exported, quantized and timed.
Layers are alike, so the costs of depths between are interpolated.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from replank.chain.budget import Budget, Cost
from replank.chain.costs import measure_costs, measured
from replank.chain.result_cache import ResultCache
from replank.chain.search_choice import FP32, Candidate
from replank.models.provenance import config_json
from replank.models.source import Source, open_source
from replank.system.environment import versions
from replank.system.files import replace_folder

if TYPE_CHECKING:
    from replank_export.convert import ExportConfig
    from replank_export.schemes import Scheme

# On a machine with other load, measurements of one model differ by some per cent; sizes differ only by names.
_TIME_MARGIN, _SIZE_MARGIN = 1.15, 1.02


class Probes:
    """Estimates for a search's candidates.

    :param folder: of the models that are measured.
    """

    def __init__(
        self,
        predecessor: Source,
        folder: Path,
        cache: ResultCache,
        budget: Budget,
        export: ExportConfig,
        int8: Mapping[str, Scheme],
    ) -> None:
        self._predecessor, self._folder, self._cache, self._budget = predecessor, folder, cache, budget
        self._export, self._int8 = export, int8

    def estimate(self, candidates: list[Candidate]) -> None:
        """Fill in the estimated cost of each candidate, and why it is out if that is outside the budget."""
        for entry in candidates:
            entry.estimate = Cost(p50_ms=self._least_ms(entry.layers, entry.precision))
            self._rule_out(entry, 1.0, "even at this machine's peak rates")
        left = sorted({entry.layers for entry in candidates if entry.why is None})
        if not left:
            return
        low, high = left[0], left[-1]
        probes = [self._probe(depth, precision) for depth in sorted({low, high}) for precision in (FP32, *self._int8)]
        costs = measure_costs(probes, self._budget, self._cache)
        for entry in candidates:
            if entry.why is None:
                ends = [costs[self._probe(depth, entry.precision).name] for depth in (low, high)]
                share = (entry.layers - low) / (high - low) if high > low else 0.0
                entry.estimate = Cost(
                    p50_ms=_between(share, *(end.p50_ms for end in ends)),
                    model_bytes=_between(share, *(end.model_bytes for end in ends)),
                )
                self._rule_out(entry, _TIME_MARGIN, "by its shape")

    def _rule_out(self, entry: Candidate, margin: float, how: str) -> None:
        ms, size = entry.estimate.p50_ms, entry.estimate.model_bytes
        favoured = Cost(ms and ms / margin, size and size / _SIZE_MARGIN)
        if self._budget.excesses(favoured):
            words = ", ".join(words for _, words in self._budget.excesses(entry.estimate))
            entry.why = f"outside the budget {how}: about {words}"

    def _least_ms(self, layers: int, precision: str) -> float:
        """The lower bound from the roofline."""
        from replank_export.estimate import Estimator, Machine

        estimator = Estimator(self._predecessor, self._budget.batch_size, self._budget.length)
        facts = {"predecessor": self._predecessor.digest}
        machine = measured(
            f"machine for {self._budget.shape}", facts, lambda: (asdict(estimator.measure_machine()), ()), self._cache
        )
        return estimator.least_ms(Machine(**machine), layers, "fp32" if precision == FP32 else "int8")

    def _probe(self, layers: int, precision: str) -> Path:
        """The folder of a model of the first layers, which is made if it does not exist.

        Its name tells what decides on its content, so that nothing stale is measured.
        """
        settings = [config_json(config) for config in (self._export, self._int8.get(precision)) if config]
        facts = json.dumps([self._predecessor.digest, settings, versions()], sort_keys=True)
        folder = self._folder / f"{layers}-{precision}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
        if folder.exists():
            return folder
        with replace_folder(folder) as partial:
            self._write(layers, precision, partial)
        return folder

    def _write(self, layers: int, precision: str, folder: Path) -> None:
        from replank_compress.truncated import truncated
        from replank_export.int8.config import Int8Config
        from replank_export.probe import export_probe, integer_probe, quantize_probe

        config = self._int8.get(precision)
        if isinstance(config, Int8Config):
            fp32 = open_source(self._probe(layers, FP32))
            quantize_probe(fp32, folder, config, length=self._budget.length, opset=self._export.opset)
            return
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".torch-") as scratch:
            source = truncated(self._predecessor, layers, Path(scratch))
            if config is not None:
                integer_probe(source, folder, config, length=self._budget.length)
            else:
                export_probe(source, folder, self._export, self._predecessor.task)


def _between(share: float, low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None else low + share * (high - low)
