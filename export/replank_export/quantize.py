"""The stage `quantize`: from an fp32 graph to INT8 weights and activations, judged by task metric and latency."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import TensorProto

from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.models.artifact import Artifact, new_artifact, require_free, seal
from replank.models.int8_facts import Int8Facts, Int8Sizes, Int8Speed, PartBytes
from replank.models.manifest import Manifest
from replank.models.provenance import MadeBy, Stopwatch
from replank.models.quality import Quality
from replank.models.source import Source, open_source, require_kind
from replank.runtime.evaluate import evaluate
from replank.runtime.likeness import judged_beside
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.timing import random_batch, time_calls
from replank.system.environment import instruction_sets, int8_target
from replank.system.errors import ModelError, QualityGateError
from replank.system.extras import require
from replank.system.progress import progress
from replank_export.calibration_texts import calibration_texts
from replank_export.convert import compare, copy_model_files, evaluate_held_out, load_data, ort_config, task_with
from replank_export.fusion.attention_mask import takes_lengths
from replank_export.fusion.fusion_counts import count_fused
from replank_export.graph_files import is_large
from replank_export.int8.accuracy import keep_until_good
from replank_export.int8.config import Int8Config
from replank_export.int8.prepared_graph import TABLES, float_weights
from replank_export.verify.batching import batch_difference

_QUANTIZED = {"QAttention", "MatMulInteger", "DynamicQuantizeLinear", "QuantizeLinear", "QLinearMatMul", "MatMulNBits"}
# The shape at which INT8 must be faster than its source.
_GATE_LENGTH = 128
_log = logging.getLogger(__name__)


def quantize(
    source: Source,
    out: Path,
    config: Int8Config,
    data_config: DataConfig | None = None,
    *,
    force: bool = False,
) -> Artifact:
    """Quantize a graph, and compare its quality and speed with the source.

    :param source: an ONNX model in fp32, such as the stage `export` makes.
    :param data_config: the task's data, which a scheme with calibration needs; without data the manifest holds no
        quality.
    :param force: replace an artifact at ``out``.
    :raises ModelError: the graph is not in fp32.
    :raises QualityGateError: the headline metric falls by more than ``max_drop`` whatever is kept in floating point,
        or the graph is not faster than its source on this machine.
    """
    stopwatch = Stopwatch()
    require_kind(source, "onnx", "quantize")
    require("onnx", "sympy")
    require_free(out, force=force, source=source.folder)
    fused = require_float(source)
    data = load_data(source, data_config)
    task = task_with(source, data)
    reference = load_model(source, task=task)
    data = judged_beside(data, reference) if data else None
    texts = calibration_texts(reference, data, config.name, rows) if (rows := config.texts_wanted()) else []
    with new_artifact(out, force=force) as folder, config.prepare(source.model_file, texts) as graph:
        target = folder / "model.onnx"
        graph.write(target)
        copy_model_files(source, folder)
        if data is not None:
            # Layers are chosen on dev, if there is one; the reported quality is that of the held-out split.
            split = data.chosen_on
            drop = _drop_of(reference, folder, data, split)
            keep_until_good(graph, target, config.max_drop, reference, data.split(split), drop)
        (folder / "ort_config.json").write_text(_ort_config(target, config), encoding="utf-8")
        candidate = load_model(open_source(folder), task=task)
        verification = compare(reference, candidate, data, "int8")
        verification.require()
        speed = _speed(reference, candidate) if config.instructions == int8_target() else None
        require_faster(speed, config)
        seal(
            folder,
            Manifest(
                kind="onnx",
                precision="int8",
                task=replace(task, metrics=data.task.metrics) if data else task,
                made_by=MadeBy.now(
                    "quantize",
                    config,
                    Int8Facts(
                        data=data.digests if data else None,
                        scheme=config.name,
                        quantized=fused,
                        kept_in_float=float_weights(target),
                        instruction_sets=tuple(instruction_sets()),
                        target=config.instructions,
                        reduce_range=config.reduce_range,
                        sizes=Int8Sizes(_bytes_of_parts(source.model_file), _bytes_of_parts(target)),
                        speed=speed,
                        batch_difference=batch_difference(candidate),
                    ),
                    stopwatch,
                ),
                parent=source.as_parent(),
                quality=_quality(reference, candidate, data, folder) if data else None,
                verification=verification.differences,
            ),
        )
    return Artifact.open(out)


def require_float(source: Source) -> dict[str, int]:
    """Refuse a graph that is not in fp32, and warn of one that will be slow or wrong.

    :returns: the number of nodes of each fused operator.
    """
    model = onnx.load(str(source.model_file), load_external_data=False)
    if _QUANTIZED & {node.op_type for node in model.graph.node}:
        raise ModelError(f"{source.name} is quantized already", hint="quantize the fp32 model that it was made from")
    if any(tensor.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16) for tensor in model.graph.initializer):
        raise ModelError(f"{source.name} is not in fp32", hint="replank export makes an fp32 graph of a torch model")
    fused = count_fused(source.model_file)
    attentions = fused.get("Attention", 0) + fused.get("MultiHeadAttention", 0)
    if attentions < source.layers:
        _log.warning(
            "%s has %d fused Attention nodes for %d layers; in INT8 it is slower than what replank export makes",
            source.name,
            attentions,
            source.layers,
        )
    if takes_lengths(model):
        _log.warning(
            "%s reduces the attention mask to lengths: right for padding on the right, as replank pads, wrong for any "
            "other; replank export keeps the mask",
            source.name,
        )
    return fused


def _speed(reference: Model, candidate: Model) -> Int8Speed:
    """The median latencies of both models for one text, measured in turn so that drift is shared."""
    length = min(_GATE_LENGTH, reference.source.position_limit)
    batch = random_batch(reference, 1, length, seed=0)
    samples: dict[str, list[float]] = {"source_ms": [], "ms": []}
    for _ in range(7):
        for name, model in (("source_ms", reference), ("ms", candidate)):
            run = model.predictor
            samples[name] += time_calls(lambda run=run: run(batch), warmup=1, min_iterations=3, min_seconds=0.05)  # type: ignore[misc]
    return Int8Speed(length, **{name: statistics.median(values) for name, values in samples.items()})


def require_faster(speed: Int8Speed | None, config: Int8Config) -> None:
    """Refuse a graph that is not faster than its source.

    :param speed: latencies of both; ``None`` if this machine has another instruction set.
    :raises QualityGateError: it is not faster, and ``allow_slower`` is not set.
    """
    if speed is None:
        _log.warning("made for %s, which this machine does not have: its speed is unknown", config.instructions)
    elif speed.ms >= speed.source_ms:
        found = f"INT8 takes {speed.ms:.2f} ms for {speed.length} tokens, its source {speed.source_ms:.2f} ms"
        if not config.allow_slower:
            raise QualityGateError(
                found, hint="serve the fp32 model on this machine, or write the slower one with `allow_slower=True`"
            )
        _log.warning("%s: serve the fp32 model on this machine", found)


def _bytes_of_parts(path: Path) -> PartBytes:
    """The bytes of embedding tables and of everything else."""
    graph = onnx.load(str(path), load_external_data=is_large(path)).graph
    looked_up = {name for node in graph.node if node.op_type in (*TABLES, f"Q{TABLES[0]}") for name in node.input}
    sizes = {tensor.name: len(tensor.raw_data) for tensor in graph.initializer}
    embeddings = sum(size for name, size in sizes.items() if name in looked_up)
    return PartBytes(embeddings, sum(sizes.values()) - embeddings)


def _drop_of(reference: Model, folder: Path, data: Dataset, split: str) -> Callable[[], float]:
    """A function that returns the loss of the headline metric of the graph in a folder, as a fraction."""
    name = data.task.headline
    before = evaluate(reference, data, split).metrics[name]

    def drop() -> float:
        candidate = load_model(open_source(folder), task=data.task)
        return before - evaluate(candidate, data, split).metrics[name]

    return drop


def _quality(reference: Model, candidate: Model, data: Dataset, folder: Path) -> Quality:
    """The candidate's quality, with the reference's metrics on the same rows, and the loss of the headline metric."""
    with progress(f"evaluate {reference.source.name}", len(data.split(data.held_out))) as advance:
        before = evaluate(reference, data, data.held_out, progress=advance)
    after = evaluate_held_out(candidate, data, folder)
    drop = before.metrics[data.task.headline] - after.metrics[data.task.headline]
    return replace(after, source_metrics=before.metrics, drop=drop)


def _ort_config(model: Path, config: Int8Config) -> str:
    graph = onnx.load(str(model), load_external_data=False)
    opset = max(entry.version for entry in graph.opset_import if entry.domain in ("", "ai.onnx"))
    return ort_config(opset, config.ort_config())
