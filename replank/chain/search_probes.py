"""Estimated costs of a search's candidates, before anything is trained: neither time nor size depends on the weights.

First comes a lower bound on the time, from the roofline of the machine; it takes seconds and may rule out most
candidates. Of the rest, the deepest and the shallowest are cut out of the predecessor, exported, quantized and timed.
Layers are alike, so the costs of depths between are interpolated.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
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
    from replank_export.int8.config import Int8Config
    from replank_export.schemes import IntegerInt8, Scheme

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
        from replank_export.schemes import AutoInt8

        self._predecessor, self._folder, self._cache, self._budget = predecessor, folder, cache, budget
        self._export = export
        self._int8: dict[str, Int8Config | IntegerInt8] = {}
        # By a precision that chooses among schemes, the precisions of their probes.
        self._choices: dict[str, list[str]] = {}
        for precision, config in int8.items():
            if isinstance(config, AutoInt8):
                inner = {f"{precision}-{name}": scheme for name, scheme in config.schemes().items()}
                self._choices[precision] = list(inner)
                self._int8.update(inner)
            else:
                self._int8[precision] = config

    def estimate(self, candidates: list[Candidate]) -> None:
        """Fill in the estimated cost of each candidate, and why it is out if that is outside the budget."""
        for entry in candidates:
            # The peak rates are those of ONNX Runtime's own products, which other providers' may exceed.
            if entry.precision not in self._choices:
                entry.estimate = Cost(p50_ms=self._least_ms(entry.layers, entry.precision))
                self._rule_out(entry, 1.0, "even at this machine's peak rates")
        left = sorted({entry.layers for entry in candidates if entry.why is None})
        if not left:
            return
        low, high = left[0], left[-1]
        costs = self._costs(sorted({low, high}))
        for entry in candidates:
            if entry.why is None:
                ends = [costs[depth, entry.precision] for depth in (low, high)]
                share = (entry.layers - low) / (high - low) if high > low else 0.0
                entry.estimate = Cost(
                    p50_ms=_between(share, *(end.p50_ms for end in ends)),
                    model_bytes=_between(share, *(end.model_bytes for end in ends)),
                )
                self._rule_out(entry, _TIME_MARGIN, "by its shape")

    def _costs(self, depths: Sequence[int]) -> dict[tuple[int, str], Cost]:
        """The measured cost of each depth in each precision; where one chooses, of the fastest that it chooses from."""
        chosen_from = {name for names in self._choices.values() for name in names}
        probes = {
            (depth, precision): self._probe(depth, precision)
            for depth in depths
            for precision in (FP32, *self._int8)
            if precision not in chosen_from
        }
        found = measure_costs(list(probes.values()), self._budget, self._cache)
        costs = {key: found[folder.name] for key, folder in probes.items()}
        for precision, names in self._choices.items():
            tried = {depth: [self._probe(depth, name) for name in names] for depth in depths}
            found = measure_costs(
                [folder for folders in tried.values() for folder in folders], self._budget, self._cache, "auto"
            )
            for depth, folders in tried.items():
                ends = [found[folder.name] for folder in folders]
                costs[depth, precision] = min(ends, key=lambda end: end.p50_ms or math.inf)
        return costs

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
