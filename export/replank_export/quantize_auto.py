"""The stage `quantize` with the scheme `auto`: every scheme on every execution provider, and the fastest good pair."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.models.artifact import Artifact, new_artifact, require_free, seal
from replank.models.int8_facts import Int8Choice, Int8Facts, Int8Trial
from replank.models.manifest import CARD
from replank.models.provenance import MadeBy, Stopwatch
from replank.models.provider_table import ProviderTable
from replank.models.quality import Quality
from replank.models.source import Source, open_source, require_kind
from replank.runtime.likeness import judged_beside
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.provider_choice import provider_table
from replank.runtime.provider_measurement import REFERENCE
from replank.runtime.providers import Device
from replank.system.environment import available_cores
from replank.system.errors import QualityGateError, ReplankError
from replank.system.extras import require
from replank_export.automatic.choice import fastest
from replank_export.automatic.config import AutoInt8
from replank_export.automatic.quality import QualityGate
from replank_export.automatic.speed import devices_here, measure_pairs
from replank_export.convert import copy_model_files, evaluate_held_out, load_data, task_with
from replank_export.graph_files import save_graph
from replank_export.quantize import quantize, require_float

_log = logging.getLogger(__name__)


def quantize_auto(
    source: Source,
    out: Path,
    config: AutoInt8,
    data_config: DataConfig | None = None,
    *,
    force: bool = False,
) -> Artifact:
    """Quantize a graph by each scheme, measure each result on each provider, and keep the fastest that is good enough.

    Speed is measured beside the source, in interleaved rounds (see :mod:`replank.benchmarking`), and quality on the
    split that chooses. The provider is kept in the manifest: ``device="auto"`` loads the model there on this machine.

    :param source: an ONNX model in fp32.
    :param data_config: the task's data; without it, schemes with calibration are left out, and a provider must give
        the answers of the CPU.
    :param force: replace an artifact at ``out``.
    :raises ModelError: the graph is not in fp32.
    :raises QualityGateError: no pair keeps the quality, or none is faster than the source. What is at ``out`` stays.
    """
    stopwatch = Stopwatch()
    require_kind(source, "onnx", "quantize")
    require("onnx", "sympy")
    require_free(out, force=force, source=source.folder)
    require_float(source)
    # Data that cannot be read is no fault of any scheme.
    data = load_data(source, data_config)
    reference = load_model(source, task=task_with(source, data))
    data = judged_beside(data, reference) if data else None
    with tempfile.TemporaryDirectory(prefix="replank-") as scratch:
        made, refused = _quantize_all(source, Path(scratch), config, data_config)
        choice, chosen = _choose(reference, Path(scratch), made, refused, config, data)
        best = made[chosen.scheme]
        facts = replace(best.manifest.made_by.facts_of(Int8Facts), choice=choice)
        with new_artifact(out, force=force) as folder:
            for name in best.manifest.files.keys() - {CARD}:
                (folder / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(best.path / name, folder / name)
            seal(
                folder,
                replace(
                    best.manifest,
                    made_by=MadeBy.now("quantize", config, facts, stopwatch),
                    quality=_quality(best, reference, chosen.device, data, folder) if data else None,
                    files={},
                    providers=_providers(choice, chosen),
                ),
            )
    return Artifact.open(out)


def _quantize_all(
    source: Source, scratch: Path, config: AutoInt8, data_config: DataConfig | None
) -> tuple[dict[str, Artifact], dict[str, str]]:
    """The artifact of each scheme, and the reason for each that gives none.

    :raises QualityGateError: none gives one.
    """
    made: dict[str, Artifact] = {}
    refused: dict[str, str] = {}
    for name, scheme in config.schemes().items():
        _log.info("scheme %s:", name)
        try:
            made[name] = quantize(source, scratch / name, scheme, data_config)
        except ReplankError as error:
            refused[name] = error.message
            _log.info("%s is left out: %s", name, error.message)
    if not made:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise QualityGateError(
            f"no scheme of INT8 can be used for {source.name}: {reasons}",
            hint="serve the fp32 model, or allow more with `max_drop`",
        )
    return made, refused


def _choose(
    reference: Model,
    scratch: Path,
    made: Mapping[str, Artifact],
    refused: Mapping[str, str],
    config: AutoInt8,
    data: Dataset | None,
) -> tuple[Int8Choice, Int8Trial]:
    """All that was tried, and the pair that won.

    :param reference: the source, loaded on the CPU.
    :raises QualityGateError: none does.
    """
    source = reference.source
    graphs = {name: entry.path for name, entry in made.items()}
    here, absent = devices_here()
    with_source = {source.precision: _folder_of(source, scratch), **graphs}
    trials, speed = measure_pairs(with_source, here, reference.text_encoder.max_length)
    gate = QualityGate.of(graphs, reference, data, config.max_drop)
    trials = [gate.judged(trial) for trial in trials]
    trials += [Int8Trial(scheme=name, device=REFERENCE, why=reason) for name, reason in refused.items()]
    for trial in trials:
        _log.info("%s: %s", trial.name, _shown(trial))
    chosen = require_good(trials, source, config)
    choice = Int8Choice(
        device=chosen.device,
        shapes=tuple((shape.batch_size, shape.length or 0) for shape in speed.shapes),
        metric=data.task.headline if data else None,
        split=data.chosen_on if data else None,
        trials=tuple(trials),
        absent=absent,
        disturbance=speed.disturbance,
        clock=speed.clock or "wall",
    )
    return choice, chosen


def _quality(best: Artifact, reference: Model, device: Device, data: Dataset, folder: Path) -> Quality | None:
    """The quality on the held-out split where the model is to run; that on the CPU is known.

    :param folder: of the new artifact, whose answers are replaced.
    """
    known = best.manifest.quality
    if device == REFERENCE or known is None or known.source_metrics is None:
        return known
    model = load_model(open_source(best.path), task=reference.task, device=device)
    found = evaluate_held_out(model, data, folder)
    name = data.task.headline
    before = known.source_metrics
    return replace(found, source_metrics=before, drop=before[name] - found.metrics[name])


def _folder_of(source: Source, scratch: Path) -> Path:
    """A folder that holds the source's graph under the usual name."""
    if source.file is None:
        return source.folder
    folder = scratch / source.precision
    folder.mkdir()
    copy_model_files(source, folder)
    save_graph(onnx.load(str(source.model_file)), folder / "model.onnx")
    return folder


def _shown(trial: Int8Trial) -> str:
    metric = "" if trial.metric is None else f", metric {trial.metric:.4f}"
    speed = "" if trial.ratio is None else f"{trial.ratio:.2f}x the source's speed{metric}"
    return "; ".join(filter(None, (speed, trial.why and f"left out: {trial.why}")))


def require_good(trials: Sequence[Int8Trial], source: Source, config: AutoInt8) -> Int8Trial:
    """The pair that wins.

    :param trials: of the source too, which must not be faster on any provider.
    :raises QualityGateError: none may be used, or none is faster than the source.
    """
    own = [trial for trial in trials if trial.scheme == source.precision]
    trials = [trial for trial in trials if trial.scheme != source.precision]
    rival = max((trial.ratio for trial in own if trial.why is None and trial.ratio), default=1.0)
    chosen = fastest([trial for trial in trials if (trial.ratio or 0.0) > rival]) or fastest(trials)
    if chosen is None:
        reasons = "; ".join(f"{trial.name}: {trial.why}" for trial in trials)
        raise QualityGateError(
            f"no pair of scheme and provider keeps the quality of {source.name}: {reasons}",
            hint="serve the fp32 model, or allow more with `max_drop`",
        )
    if chosen.ratio is not None and chosen.ratio <= rival:
        found = f"the fastest INT8, {chosen.name}, has {chosen.ratio / rival:.2f} times the speed of its source"
        if not config.allow_slower:
            raise QualityGateError(
                found, hint="serve the fp32 model on this machine, or write the slower one with `allow_slower=True`"
            )
        _log.warning("%s: serve the fp32 model on this machine", found)
    return chosen


def _providers(choice: Int8Choice, chosen: Int8Trial) -> ProviderTable:
    """What ``device="auto"`` goes by from now on: the chosen scheme on each provider."""
    trials = [trial for trial in choice.trials if trial.scheme == chosen.scheme]
    return provider_table(
        choice.shapes,
        {trial.device: trial.milliseconds for trial in trials if trial.milliseconds and trial.why is None},
        {trial.device: trial.why for trial in trials if trial.why is not None},
        chosen.device,
        threads=1 if choice.clock == "processor" else available_cores(),
    )
