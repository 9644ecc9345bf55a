"""OpenVINO: what it is not given, and what it runs where an Intel CPU is at hand."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from commands import Replank, error_lines
from providers import why_not
from replank.models.onnx_file import operators_of
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.providers import PROVIDERS
from replank.runtime.session import open_session
from replank.system.errors import IncompatibleModelError
from small_models import save_model
from tiny import sentences

CPU = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
TEXTS = [text for text, _ in sentences(60, seed=3)] + ["good", "bad " * 40]


needs_openvino = pytest.mark.skipif(bool(why_not("openvino")), reason=why_not("openvino"))
needs_bf16 = pytest.mark.skipif(bool(why_not("openvino-bf16")), reason=why_not("openvino-bf16"))


# What it is not given: dynamic INT8, and rotary positions


def test_dynamic_int8_is_refused_where_it_would_be_computed_in_floating_point(int8_artifact: Path) -> None:
    """By its operators, before the plugin is looked for: on any machine."""
    for device in ("openvino", "openvino-bf16"):
        with pytest.raises(IncompatibleModelError) as refusal:
            load_model(open_source(int8_artifact), device=device)
        assert refusal.value.message == (
            f"`device='{device}'`: {int8_artifact} has 14 MatMulIntegerToFloat, a product of dynamic INT8, which "
            "OpenVINO computes in floating point, in two to five times the CPU's time: quantize with `scheme=static` "
            "for it"
        )
        assert refusal.value.hint == "`device='cpu'` runs it"


def test_rotary_positions_are_refused_where_they_would_give_other_answers(tmp_path: Path) -> None:
    from replank_export.convert import ExportConfig, export

    source = open_source(save_model("eurobert", tmp_path / "torch"))
    made = open_source(export(source, tmp_path / "onnx", ExportConfig()).path)
    with pytest.raises(IncompatibleModelError, match=r"has \d+ RotaryEmbedding, which OpenVINO computes with other"):
        load_model(made, device="openvino")


def test_dynamic_int8_of_other_tools_is_refused_too(onnx_artifact: Path, tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    folder = shutil.copytree(onnx_artifact, tmp_path / "foreign")
    (folder / "replank.json").unlink()
    settings = {"DefaultTensorType": TensorProto.FLOAT}
    quantize_dynamic(str(onnx_artifact / "model.onnx"), str(folder / "model.onnx"), extra_options=settings)
    with pytest.raises(IncompatibleModelError, match="has 8 MatMulInteger, a product of dynamic"):
        load_model(open_source(folder), device="openvino")


def test_static_int8_is_not_refused_for_its_operators(static_artifact: Path) -> None:
    operators = operators_of(static_artifact / "model.onnx")
    assert operators == Counter(node.op_type for node in onnx.load(str(static_artifact / "model.onnx")).graph.node)
    for row in PROVIDERS.values():
        row.require_operators("static", operators)


# What it runs


@pytest.mark.skipif("GenuineIntel" not in CPU, reason="the plugin takes the CPUs of Intel only")
def test_where_the_plugin_could_run_it_is_installed() -> None:
    """Or else its tests would be skipped, where they can run and nowhere else: ``make test`` installs it here."""
    assert PROVIDERS["openvino"].missing is None


@needs_openvino
def test_openvino_runs_all_of_a_static_graph(static_artifact: Path) -> None:
    source = open_source(static_artifact)
    ours, theirs = (load_model(source, device=device, threads=1) for device in ("cpu", "openvino"))
    assert (theirs.provider, theirs.arithmetic) == ("OpenVINOExecutionProvider", "int8")
    np.testing.assert_allclose(theirs.logits(TEXTS), ours.logits(TEXTS), atol=0.05, rtol=0)


@needs_openvino
def test_openvino_gives_the_numbers_of_fp32(onnx_artifact: Path) -> None:
    source = open_source(onnx_artifact)
    ours, theirs = (load_model(source, device=device, threads=1) for device in ("cpu", "openvino"))
    assert (theirs.device, theirs.provider, theirs.arithmetic) == ("openvino", "OpenVINOExecutionProvider", "fp32")
    np.testing.assert_allclose(theirs.logits(TEXTS), ours.logits(TEXTS), atol=1e-5, rtol=0)


@needs_bf16
def test_openvino_in_bf16_is_another_device_and_says_so(onnx_artifact: Path) -> None:
    source = open_source(onnx_artifact)
    ours, theirs = (load_model(source, device=device, threads=1) for device in ("cpu", "openvino-bf16"))
    assert (theirs.provider, theirs.arithmetic) == ("OpenVINOExecutionProvider", "bf16")
    distance = np.abs(theirs.logits(TEXTS) - ours.logits(TEXTS)).max()
    assert 1e-4 < distance < 0.1


@needs_openvino
def test_openvino_refuses_what_it_would_hand_to_another(onnx_artifact: Path, replank: Replank, tmp_path: Path) -> None:
    folder = shutil.copytree(onnx_artifact, tmp_path / "foreign")
    (folder / "replank.json").unlink()
    model = onnx.load(str(folder / "model.onnx"))
    for node in model.graph.node:
        if node.op_type == "BiasGelu":
            node.op_type = "FastGelu"
    onnx.save(model, str(folder / "model.onnx"))
    done = replank("predict", folder, "a", "--device", "openvino")
    assert done.code == 1
    error, hint = error_lines(done)
    assert error == (
        "error: --device openvino: OpenVINOExecutionProvider cannot run all of the graph; it lacks 2 FastGelu"
    )
    assert hint == "hint: --device cpu runs them all"


@needs_openvino
def test_a_graph_that_openvino_cannot_compile_is_incompatible(int8_artifact: Path) -> None:
    """Not a broken model: ``auto`` and a benchmark go on without it."""
    with pytest.raises(IncompatibleModelError, match=r"OpenVINOExecutionProvider cannot (load|run all of)"):
        open_session(int8_artifact / "model.onnx", device="openvino", threads=1)


@needs_openvino
def test_openvino_takes_the_threads_that_it_is_given(onnx_artifact: Path) -> None:
    opened = open_session(onnx_artifact / "model.onnx", device="openvino", threads=1)
    settings = json.loads(opened.get_provider_options()["OpenVINOExecutionProvider"]["load_config"])
    assert settings == {"CPU": {"INFERENCE_NUM_THREADS": "1", "INFERENCE_PRECISION_HINT": "f32"}}


@needs_openvino
def test_openvino_verifies_against_torch_under_any_padding(
    successor: Path, onnx_artifact: Path, replank: Replank
) -> None:
    done = replank("verify", successor, onnx_artifact, "--device", "openvino", "--json")
    assert done.code == 0
    cases = {case["case"]: case["max_abs"] for case in json.loads(done.out)["cases"]}
    assert {"left padding", "padding on both sides", "holes"} <= set(cases)
    assert max(cases.values()) < 1e-5


@needs_openvino
def test_a_benchmark_has_each_provider_beside_the_others(onnx_artifact: Path, tmp_path: Path) -> None:
    from replank.benchmarking.run import BenchmarkConfig, benchmark

    shutil.copytree(onnx_artifact, tmp_path / "fp32")
    shape = {"batch_sizes": (1,), "lengths": (8,), "rounds": 1, "min_seconds": 0.0, "max_seconds": 0.0, "threads": 1}
    result = benchmark(BenchmarkConfig((str(tmp_path / "fp32"),), devices=("cpu", "openvino"), **shape))  # type: ignore[arg-type]
    assert [model.name for model in result.models] == ["fp32 on cpu", "fp32 on openvino"]
    assert [model.provider for model in result.models] == ["CPUExecutionProvider", "OpenVINOExecutionProvider"]
