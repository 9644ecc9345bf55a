"""The stage `quantize`: a fused fp32 graph to INT8 weights and activations, judged by the task metric."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from export.accuracy import keep_until_good
from export.convert import compare, copy_model_files, load_data, measure, ort_config
from export.int8 import DynamicInt8, float_weights, prepared
from export.optimize import count_fused
from replank.artifact import Artifact, Manifest, new_artifact, require_free, seal
from replank.data import DataConfig, Dataset
from replank.environment import has_fast_int8, instruction_sets
from replank.errors import ModelError
from replank.evaluate import evaluate
from replank.extras import require
from replank.provenance import Stopwatch, made_by
from replank.runtime import Model, load_model
from replank.source import Source, open_source, require_kind


def quantize(
    source: Source,
    out: Path,
    config: DynamicInt8,
    data_config: DataConfig | None = None,
    *,
    force: bool = False,
) -> Artifact:
    """Quantize a fused graph and measure what it costs.

    :param source: an ONNX model in fp32, as the stage `export` makes it.
    :param data_config: the task's data; without it the quality is not known, and the manifest says so.
    :raises ModelError: the graph is quantized already, or its attention is not fused.
    :raises QualityGateError: the headline metric falls by more than ``max_drop`` whatever is kept in floating point.
    """
    stopwatch = Stopwatch()
    require_kind(source, "onnx", "quantize")
    require("onnx", "sympy")
    require_free(out, force=force, source=source.folder)
    fused = _require_fused_float(source)
    data = load_data(source, data_config)
    task = data.task if data else source.task
    with new_artifact(out, force=force) as folder, prepared(source.model_file) as graph:
        target = folder / "model.onnx"
        graph.write(target, config)
        copy_model_files(source, folder)
        reference = load_model(source, task=task)
        if data is not None:
            # Chosen on dev, where there is one; what is reported comes from the held-out split.
            split = "dev" if "dev" in data.splits else data.held_out
            keep_until_good(
                graph, target, config, reference, data.split(split), _drop_of(reference, folder, data, split)
            )
        (folder / "ort_config.json").write_text(_ort_config(target, config), encoding="utf-8")
        candidate = load_model(open_source(folder), task=task)
        verification = compare(reference, candidate, data, "int8")
        verification.require()
        quality = _quality(reference, candidate, data) if data else None
        seal(
            folder,
            Manifest(
                kind="onnx",
                precision="int8",
                task=task,
                made_by=made_by(
                    "quantize",
                    config,
                    stopwatch,
                    data=data.digests if data else None,
                    scheme="dynamic",
                    quantized=fused,
                    kept_in_float=float_weights(target),
                    instruction_sets=instruction_sets(),
                    reduce_range=not has_fast_int8(),
                ),
                parent=source.as_parent(),
                quality=quality,
                verification=verification.to_json(),
            ),
        )
    return Artifact.open(out)


def _require_fused_float(source: Source) -> dict[str, int]:
    """Refuse what would be quantized only in part, or twice."""
    path = source.folder / "model.onnx"
    operators = {node.op_type for node in onnx.load(str(path), load_external_data=False).graph.node}
    if operators & {
        "QAttention",
        "MatMulInteger",
        "DynamicQuantizeLinear",
        "QuantizeLinear",
        "QLinearMatMul",
    }:
        raise ModelError(f"{source.name} is quantized already", hint="quantize the fp32 model that it was made of")
    fused = count_fused(path)
    if fused.get("Attention", 0) != source.layers:
        raise ModelError(
            f"{source.name} has {fused.get('Attention', 0)} fused Attention nodes for {source.layers} layers; "
            "its attention would stay in floating point",
            hint="export the torch model with replank export, which fuses it",
        )
    return fused


def _drop_of(reference: Model, folder: Path, data: Dataset, split: str) -> Callable[[], float]:
    """Loss of the headline metric of the graph that lies in a folder, whenever it is called."""
    name = data.task.headline
    before = evaluate(reference, data, split)["metrics"][name]

    def drop() -> float:
        candidate = load_model(open_source(folder), task=data.task)
        return float(before - evaluate(candidate, data, split)["metrics"][name])

    return drop


def _quality(reference: Model, candidate: Model, data: Dataset) -> dict[str, Any]:
    """The candidate's quality, with the reference's metrics on the same rows and the loss."""
    before, after = measure(reference, data), measure(candidate, data)
    drop = before["metrics"][data.task.headline] - after["metrics"][data.task.headline]
    return after | {"source_metrics": before["metrics"], "drop": drop}


def _ort_config(model: Path, config: DynamicInt8) -> str:
    opset = max(entry.version for entry in onnx.load(str(model)).opset_import if entry.domain in ("", "ai.onnx"))
    return ort_config(opset, {"is_static": False, "format": "QOperator", "per_channel": config.per_channel})
