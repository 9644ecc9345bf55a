"""The stage `quantize`: a fused fp32 graph to INT8 weights and activations, judged by the task metric."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.convert import compare, copy_model_files, load_data, measure, ort_config
from export.optimize import count_fused
from replank.artifact import Artifact, Manifest, new_artifact, require_free, seal
from replank.data import DataConfig, Dataset
from replank.environment import has_fast_int8, instruction_sets
from replank.errors import ModelError, QualityGateError, UsageError
from replank.extras import require
from replank.provenance import Stopwatch, made_by
from replank.runtime import load_model
from replank.source import Source, open_source, require_kind

# Operators whose work is a product with a weight matrix: what INT8 is for.
_WEIGHT_OPERATORS = ("MatMul", "Gemm", "Attention", "EmbedLayerNormalization", "Gather")


@dataclass(frozen=True)
class DynamicInt8:
    """INT8 weights; activations are scaled batch by batch, so no calibration data is needed.

    :param per_channel: one scale a column of each weight matrix instead of one for all.
    :param max_drop: how far the headline metric may fall below the source's, as a fraction: 0.005 is half a point.
    """

    per_channel: bool = True
    max_drop: float = 0.005

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 1:
            raise UsageError(f"--max-drop is {self.max_drop}; expected a fraction, 0 to 1 (0.005 is half a point)")


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
    :raises QualityGateError: the headline metric falls by more than ``max_drop``.
    """
    stopwatch = Stopwatch()
    require_kind(source, "onnx", "quantize")
    require("onnx", "sympy")
    require_free(out, force=force)
    fused = _require_fused_float(source)
    data = load_data(source, data_config)
    task = data.task if data else source.task
    with new_artifact(out, force=force) as folder:
        _quantize_graph(source.folder / "model.onnx", folder / "model.onnx", config)
        kept = float_weights(folder / "model.onnx")
        copy_model_files(source, folder)
        (folder / "ort_config.json").write_text(_ort_config(folder, config), encoding="utf-8")
        reference, candidate = load_model(source, task=task), load_model(open_source(folder), task=task)
        verification = compare(reference, candidate, data, "int8")
        verification.require()
        quality = measure(candidate, data)
        if quality is not None and data is not None:
            quality = _judge(quality, measure(reference, data) or {}, data, config)
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
                    kept_in_float=kept,
                    instruction_sets=instruction_sets(),
                    reduce_range=not has_fast_int8(),
                ),
                parent=source.as_parent(),
                quality=quality,
                verification=verification.to_json(),
            ),
        )
    return Artifact.open(out)


def float_weights(path: Path) -> list[dict[str, Any]]:
    """The weight matrices that a graph keeps in floating point, the largest first.

    :returns: ``{"node", "operator", "shape"}`` of each operator that multiplies or looks up such a matrix.
    """
    graph = onnx.load(str(path)).graph
    shapes = {
        tensor.name: list(tensor.dims)
        for tensor in graph.initializer
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16) and len(tensor.dims) >= 2
    }
    found = [
        {"node": node.name, "operator": node.op_type, "shape": shapes[name]}
        for node in graph.node
        if node.op_type in _WEIGHT_OPERATORS
        for name in node.input
        if name in shapes
    ]
    return sorted(found, key=lambda entry: -int(np.prod(entry["shape"])))


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


def _quantize_graph(source: Path, target: Path, config: DynamicInt8) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent.parent, prefix=".quantize-") as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            # Types of the fused operators' outputs, without which the quantizer gives up.
            quant_pre_process(str(source), str(prepared), skip_optimization=True, skip_symbolic_shape=False)
            quantize_dynamic(
                str(prepared),
                str(target),
                per_channel=config.per_channel,
                # Without VNNI the sum of two products overflows 16 bits: 7 bits a weight then.
                reduce_range=not has_fast_int8(),
                weight_type=QuantType.QInt8,
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
            )
        finally:
            logging.disable(disabled)


def _judge(quality: dict[str, Any], before: dict[str, Any], data: Dataset, config: DynamicInt8) -> dict[str, Any]:
    name = data.task.headline
    drop = before["metrics"][name] - quality["metrics"][name]
    if drop > config.max_drop:
        raise QualityGateError(
            f"INT8 costs {100 * drop:.2f} points of {name} on {quality['split']}: "
            f"{before['metrics'][name]:.4f} to {quality['metrics'][name]:.4f}; "
            f"--max-drop allows {100 * config.max_drop:g}",
            hint="serve the fp32 model, or allow more with --max-drop",
        )
    return quality | {"source_metrics": before["metrics"], "drop": drop}


def _ort_config(folder: Path, config: DynamicInt8) -> str:
    opset = max(
        entry.version for entry in onnx.load(str(folder / "model.onnx")).opset_import if entry.domain in ("", "ai.onnx")
    )
    return ort_config(opset, {"is_static": False, "format": "QOperator", "per_channel": config.per_channel})
