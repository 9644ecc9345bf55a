"""The stage `quantize` with the scheme `integer`: from a torch model to an encoder that computes in integers only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.integer.families import family_of
from replank.integer.ranges import read_ranges, write_ranges
from replank.models.artifact import Artifact, new_artifact, require_free, seal
from replank.models.int8_facts import Int8Facts
from replank.models.manifest import Manifest
from replank.models.provenance import MadeBy, Stopwatch
from replank.models.quality import Quality
from replank.models.source import Source, open_source, require_kind
from replank.runtime.evaluate import evaluate
from replank.runtime.likeness import judged_beside
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.torch_model import load_torch_model, require_head
from replank.system.environment import instruction_sets
from replank.system.errors import ModelError, QualityGateError
from replank.system.extras import require
from replank.text.padding import INPUT_NAMES
from replank_export.allowed_drop import allowed
from replank_export.calibration_texts import calibration_texts
from replank_export.convert import compare, copy_model_files, evaluate_held_out, load_data, ort_config, task_with
from replank_export.int8.prepared_graph import float_weights
from replank_export.integer.calibrate import calibrate
from replank_export.integer.config import IntegerInt8
from replank_export.integer.model import OPSET, integer_model
from replank_export.verify.batching import batch_difference
from replank_export.verify.padding_cases import padding_cases


def quantize_integer(
    source: Source,
    out: Path,
    config: IntegerInt8,
    data_config: DataConfig | None = None,
    *,
    force: bool = False,
) -> Artifact:
    """Make an encoder in integers, and compare its quality with the source's.

    The graph's hidden states are compared with the definition's before the artifact exists: every integer of every
    layer, under every kind of padding and at lengths from 1 to the longest.

    :param source: a torch model; one that was trained with quantization brings a file of ranges.
    :param data_config: the task's data, which calibration needs.
    :param force: replace an artifact at ``out``.
    :raises ModelError: the model has no form in integers, or no head.
    :raises QualityGateError: the headline metric falls by more than ``max_drop``.
    """
    stopwatch = Stopwatch()
    _require_torch(source)
    require_head(source)
    require("onnx", "torch", "transformers")
    family_of(source.config, source.name)
    require_free(out, force=force, source=source.folder)
    data = load_data(source, data_config)
    task = task_with(source, data)
    reference = load_model(source, task=task)
    data = judged_beside(data, reference) if data else None
    ranges = read_ranges(source.folder)
    texts = [] if ranges else calibration_texts(reference, data, config.name, config.calibration_rows)
    model = load_torch_model(source, task.kind).eval()
    ranges = ranges or calibrate(model, source.name, texts)
    cases = [batch for case in padding_cases(reference) for batch in case.batches]
    made = integer_model(
        source,
        task,
        model,
        ranges,
        config.integer_target,
        token_type_ids=source.text_encoder(task).input_names == INPUT_NAMES,
        traced=texts or cases,
        checked=cases,
    )
    with new_artifact(out, force=force) as folder:
        target = folder / "model.onnx"
        onnx.save(made.graph, str(target))
        copy_model_files(source, folder)
        write_ranges(folder, ranges)
        settings = {"is_static": True, "format": "QOperator", "per_channel": True}
        (folder / "ort_config.json").write_text(ort_config(OPSET, settings), encoding="utf-8")
        candidate = load_model(open_source(folder), task=task)
        verification = compare(reference, candidate, data, "int8")
        verification.require()
        quality = _quality(reference, candidate, data, folder, config.max_drop) if data else None
        facts = Int8Facts(
            data=data.digests if data else None,
            scheme=config.name,
            quantized={},
            kept_in_float=float_weights(target),
            instruction_sets=tuple(instruction_sets()),
            reduce_range=False,
            batch_difference=batch_difference(candidate),
            integer=made.facts,
        )
        seal(
            folder,
            Manifest(
                kind="onnx",
                precision="int8",
                task=task,
                made_by=MadeBy.now("quantize", config, facts, stopwatch),
                parent=source.as_parent(),
                quality=quality,
                verification=verification.differences,
            ),
        )
    return Artifact.open(out)


def _require_torch(source: Source) -> None:
    if source.kind != "torch":
        raise ModelError(
            f"{source.name} is a model of kind {source.kind}; the scheme integer is made of one of kind torch",
            hint="give the torch model that it was exported from",
        )
    require_kind(source, "torch", "quantize")


def _quality(reference: Model, candidate: Model, data: Dataset, folder: Path, max_drop: float) -> Quality:
    """The candidate's quality on the held-out split, with the reference's beside it.

    :raises QualityGateError: the headline metric falls by more than ``max_drop``.
    """
    before = evaluate(reference, data, data.held_out)
    after = evaluate_held_out(candidate, data, folder)
    drop = before.metrics[data.task.headline] - after.metrics[data.task.headline]
    if drop > max_drop:
        raise QualityGateError(
            f"in integers the model loses {100 * drop:.2f} points; {allowed(max_drop, data.split(data.held_out))}",
            hint="train it with quantization, allow more with `max_drop`, or choose `scheme=dynamic`",
        )
    return replace(after, source_metrics=before.metrics, drop=drop)
