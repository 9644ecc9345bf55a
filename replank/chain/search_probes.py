"""What a depth in a precision will cost, before anything is trained: neither time nor size depends on the weights.

The least time comes first, by the roofline of the machine; it costs seconds and may rule out most. Of what is left,
the deepest and the shallowest are cut out of the predecessor, exported, quantized and timed as they are. Layers are
alike, so what lies between is on the line between the two.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from replank.chain.budget import Budget, Cost
from replank.chain.result_cache import Journal
from replank.chain.search_choice import FP32, PRECISIONS, Candidate
from replank.models.encoders import encoder_of
from replank.models.source import Source, open_source
from replank.runtime.model import load_model
from replank.runtime.timing import random_batch, time_calls
from replank.system.environment import machine
from replank.system.files import replace_folder
from replank.system.progress import progress
from replank.text.padding import INPUT_NAMES
from replank.text.tokenizer_files import save_tokenizer

if TYPE_CHECKING:
    from replank_export.convert import ExportConfig
    from replank_export.int8.config import Int8Config
    from replank_export.profile.flops import Work

_CALIBRATION_TEXTS = 16
# A machine that does other work too measures the same model some per cent slower or faster; sizes differ by names.
_TIME_MARGIN, _SIZE_MARGIN = 1.15, 1.02
_ROUNDS, _SECONDS = 9, 0.1


class Probes:
    """Estimates of a search's candidates.

    :param folder: where the probes lie.
    """

    def __init__(
        self,
        predecessor: Source,
        folder: Path,
        journal: Journal,
        budget: Budget,
        export: ExportConfig,
        int8: Mapping[str, Int8Config],
    ) -> None:
        self._predecessor, self._folder, self._journal, self._budget = predecessor, folder, journal, budget
        self._export, self._int8 = export, int8

    def estimate(self, candidates: list[Candidate]) -> None:
        """Fill in what each will cost, and why it is out where that is beyond the budget."""
        for entry in candidates:
            entry.estimate = Cost(p50_ms=self._least_ms(entry.layers, entry.precision))
            self._rule_out(entry, 1.0, "even at this machine's best")
        left = sorted({entry.layers for entry in candidates if entry.why is None})
        if not left:
            return
        low, high = left[0], left[-1]
        probes = [self._probe(depth, precision) for depth in sorted({low, high}) for precision in PRECISIONS]
        timed = measure_costs(probes, self._budget, self._journal)
        for entry in candidates:
            if entry.why is None:
                ends = [timed[self._probe(depth, entry.precision).name] for depth in (low, high)]
                share = (entry.layers - low) / (high - low) if high > low else 0.0
                entry.estimate = Cost(
                    p50_ms=_between(share, *(end["p50_ms"] for end in ends)),
                    model_bytes=_between(share, *(end["model_bytes"] for end in ends)),
                )
                self._rule_out(entry, _TIME_MARGIN, "by its shape")

    def _rule_out(self, entry: Candidate, margin: float, how: str) -> None:
        ms, size = entry.estimate.p50_ms, entry.estimate.model_bytes
        favoured = Cost(ms and ms / margin, size and size / _SIZE_MARGIN)
        if self._budget.excesses(favoured):
            words = ", ".join(words for _, words in self._budget.excesses(entry.estimate))
            entry.why = f"outside the budget {how}: about {words}"

    def _least_ms(self, layers: int, precision: str) -> float:
        """By the roofline."""
        from replank_export.profile.roofline import Machine, measure_machine, roofline
        from replank_export.profile.torch_flops import torch_work

        work = torch_work(self._predecessor, self._budget.batch_size, self._budget.length)
        measured = self._journal.once(
            f"machine for {self._budget.shape} on {_here()}", lambda: asdict(measure_machine(work))
        )
        return roofline(self._cut(work, layers, precision), Machine(**measured)).ms

    def _cut(self, work: Work, layers: int, precision: str) -> Work:
        """The work of the first layers alone, in a precision."""
        path = encoder_of(self._predecessor.config, self._predecessor.name).layers
        layer = re.compile(rf"(?:^layer |\b{re.escape(path)}\.)(\d+)\b")

        def stays(name: str) -> bool:
            found = layer.search(name)
            return found is None or int(found[1]) < layers

        computed = "fp32" if precision == FP32 else "int8"
        bytes_each = 4 if precision == FP32 else 1
        return replace(
            work,
            products=tuple(
                replace(product, precision=computed if product.has_weight else product.precision)
                for product in work.products
                if stays(product.name)
            ),
            weights=tuple(
                replace(weight, bytes=bytes_each * weight.parameters) for weight in work.weights if stays(weight.name)
            ),
        )

    def _probe(self, layers: int, precision: str) -> Path:
        """A model folder of untrained layers; made where it is not there."""
        folder = self._folder / f"{layers}-{precision}"
        if folder.exists():
            return folder
        with replace_folder(folder) as partial:
            if precision == FP32:
                self._write_float(layers, partial)
            else:
                self._write_int8(self._probe(layers, FP32), self._int8[precision], partial)
        return folder

    def _write_float(self, layers: int, folder: Path) -> None:
        from replank.runtime.torch_model import load_torch_model
        from replank.system.quiet import quiet_transformers
        from replank_compress.layers import assemble, layer_stack
        from replank_export.fusion.exporters import write_graph

        torch_folder = self._folder / f".{layers}-torch.partial"
        model = load_torch_model(self._predecessor)
        with quiet_transformers():
            assemble(model, list(layer_stack(model))[:layers]).save_pretrained(torch_folder)
        save_tokenizer(self._predecessor.folder, torch_folder)
        source, task = open_source(torch_folder), self._predecessor.task
        write_graph(
            source,
            folder / "model.onnx",
            task,
            self._export.exporter,
            opset=self._export.opset,
            segments=source.text_encoder(task).input_names == INPUT_NAMES,
            allow_unfused=self._export.allow_unfused,
        )
        self._copy_files(source, folder, None)
        shutil.rmtree(torch_folder)

    def _write_int8(self, origin: Path, config: Int8Config, folder: Path) -> None:
        from replank_export.int8.config import prepared

        source = open_source(origin)
        model = load_model(source)
        is_static = config.scheme == "static"
        texts = [random_batch(model, 1, self._budget.length, seed) for seed in range(_CALIBRATION_TEXTS * is_static)]
        with prepared(source.model_file, config, texts) as graph:
            graph.write(folder / "model.onnx")
        self._copy_files(source, folder, {"is_static": is_static})

    def _copy_files(self, source: Source, folder: Path, quantization: dict[str, Any] | None) -> None:
        from replank_export.convert import copy_model_files, ort_config

        copy_model_files(source, folder)
        (folder / "ort_config.json").write_text(ort_config(self._export.opset, quantization), encoding="utf-8")


def measure_costs(folders: list[Path], budget: Budget, journal: Journal) -> dict[str, dict[str, float]]:
    """``p50_ms`` and ``model_bytes`` of models by their folders' names, measured in turn."""

    def measured() -> dict[str, dict[str, float]]:
        models = [load_model(open_source(folder)) for folder in folders]
        batches = [random_batch(model, budget.batch_size, budget.length, seed=0) for model in models]
        samples: list[list[float]] = [[] for _ in models]
        with progress("measure", _ROUNDS) as advance:
            for _ in range(_ROUNDS):
                for model, batch, taken in zip(models, batches, samples, strict=True):
                    taken += time_calls(
                        lambda run=model.predictor, batch=batch: run(batch),  # type: ignore[misc]
                        warmup=1,
                        min_iterations=3,
                        min_seconds=_SECONDS,
                    )
                advance()
        return {
            folder.name: {"p50_ms": median(taken), "model_bytes": _model_bytes(folder)}
            for folder, taken in zip(folders, samples, strict=True)
        }

    names = ", ".join(f"{folder.parent.name}/{folder.name}" for folder in folders)
    return journal.once(f"costs of {names} at {budget.shape} on {_here()}", measured)


def _model_bytes(folder: Path) -> int:
    """The graph with its external data; the tokenizer is no part of a model's size."""
    return sum(path.stat().st_size for name in ("model.onnx", "*.onnx_data") for path in folder.glob(name))


def _between(share: float, low: float, high: float) -> float:
    return low + share * (high - low)


def _here() -> str:
    facts = machine()
    return f"{facts['cpu']}, {facts['cores']} cores"
