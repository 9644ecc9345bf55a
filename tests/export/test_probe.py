"""Probes and estimates: what an untrained model says of the size and speed of a trained one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from replank.models.source import open_source
from replank.runtime.load import load_model
from replank_export.convert import ExportConfig
from replank_export.estimate import Estimator, Machine
from replank_export.int8 import DynamicInt8, StaticInt8
from replank_export.probe import export_probe, quantize_probe

TEXTS = ["a lovely film", "dull"]


def test_a_probe_is_the_graph_that_export_makes(successor: Path, onnx_artifact: Path, tmp_path: Path) -> None:
    source = open_source(successor)
    probe = export_probe(source, tmp_path, ExportConfig(), source.task)
    assert probe.artifact is None
    assert probe.model_file.stat().st_size == (onnx_artifact / "model.onnx").stat().st_size
    ours, theirs = (load_model(model, threads=1).logits(TEXTS) for model in (probe, open_source(onnx_artifact)))
    np.testing.assert_array_equal(ours, theirs)


def test_a_quantized_probe_is_the_graph_that_quantize_makes(
    onnx_artifact: Path, int8_artifact: Path, tmp_path: Path
) -> None:
    probe = quantize_probe(open_source(onnx_artifact), tmp_path, DynamicInt8(), length=16, opset=18)
    assert (probe.precision, probe.artifact) == ("int8", None)
    assert probe.model_file.stat().st_size == (int8_artifact / "model.onnx").stat().st_size


def test_a_static_probe_is_calibrated_without_data(onnx_artifact: Path, tmp_path: Path) -> None:
    source, config = open_source(onnx_artifact), StaticInt8(calibration_rows=16)
    probe = quantize_probe(source, tmp_path, config, length=16, opset=18)
    assert probe.model_file.stat().st_size < source.model_file.stat().st_size
    assert load_model(probe, threads=1).logits(TEXTS).shape == (2, 2)


def test_estimates_follow_the_layers_and_the_precision(predecessor: Path) -> None:
    """On a machine whose INT8 is four times as fast, and whose memory never limits, time is that of the MatMuls."""
    estimator = Estimator(open_source(predecessor), batch_size=1, length=16)
    machine = Machine(1, {"fp32": 1e9, "int8": 4e9}, bytes_per_second=1e18, cache_bytes=0)
    fp32 = [estimator.least_ms(machine, layers, "fp32") for layers in (1, 2, 4)]
    int8 = [estimator.least_ms(machine, layers, "int8") for layers in (1, 2, 4)]
    assert fp32[2] - fp32[1] == pytest.approx(2 * (fp32[1] - fp32[0]))
    assert all(1 < slow / fast < 4 for slow, fast in zip(fp32, int8, strict=True))
    # Where memory is all that limits, INT8 weights take a quarter of the time.
    memory = Machine(1, {"fp32": 1e18, "int8": 1e18}, bytes_per_second=1e9, cache_bytes=0)
    slow, fast = (estimator.least_ms(memory, 4, precision) for precision in ("fp32", "int8"))
    assert slow / fast == pytest.approx(4)
