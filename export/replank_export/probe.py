"""Graphs of untrained models, made to measure size and speed: not verified, not evaluated, and not artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from replank.models.source import Source, open_source
from replank.runtime.load import load_model
from replank.runtime.timing import random_batch
from replank.runtime.torch_model import load_torch_model
from replank.tasks.task import Task
from replank.text.padding import INPUT_NAMES
from replank_export.convert import ExportConfig, copy_model_files, ort_config
from replank_export.fusion.exporters import write_graph
from replank_export.int8.config import Int8Config
from replank_export.integer.calibrate import calibrate
from replank_export.integer.config import IntegerInt8
from replank_export.integer.model import OPSET, integer_model

_CALIBRATION_TEXTS = 16


def export_probe(source: Source, folder: Path, config: ExportConfig, task: Task) -> Source:
    """Export a torch model.

    :param folder: empty folder for the files.
    :param task: task that decides the head and the output.
    """
    write_graph(
        source,
        folder / "model.onnx",
        task,
        config.exporter,
        opset=config.opset,
        token_type_ids=source.text_encoder(task).input_names == INPUT_NAMES,
        allow_unfused=config.allow_unfused,
    )
    return _finish(source, folder, config.opset, None)


def quantize_probe(source: Source, folder: Path, config: Int8Config, *, length: int, opset: int) -> Source:
    """Quantize an exported model; a scheme that calibrates gets random tokens.

    :param folder: empty folder for the files.
    :param length: tokens per random text.
    """
    texts = []
    if config.texts_wanted():
        model = load_model(source)
        texts = [random_batch(model, 1, length, seed) for seed in range(_CALIBRATION_TEXTS)]
    with config.prepare(source.model_file, texts) as graph:
        graph.write(folder / "model.onnx")
    return _finish(source, folder, opset, config.ort_config())


def integer_probe(source: Source, folder: Path, config: IntegerInt8, *, length: int) -> Source:
    """Make a torch model's graph in integers, calibrated on random tokens.

    :param folder: empty folder for the files.
    :param length: tokens per random text.
    """
    reference, model = load_model(source), load_torch_model(source, source.task.kind).eval()
    texts = [random_batch(reference, 1, length, seed) for seed in range(_CALIBRATION_TEXTS)]
    made = integer_model(
        source,
        source.task,
        model,
        calibrate(model, source.name, texts),
        config.integer_target,
        token_type_ids=source.text_encoder(source.task).input_names == INPUT_NAMES,
        traced=texts[:1],
        checked=texts[:1],
    )
    onnx.save(made.graph, folder / "model.onnx")
    return _finish(source, folder, OPSET, None)


def _finish(source: Source, folder: Path, opset: int, quantization: dict[str, Any] | None) -> Source:
    copy_model_files(source, folder)
    (folder / "ort_config.json").write_text(ort_config(opset, quantization), encoding="utf-8")
    return open_source(folder)
