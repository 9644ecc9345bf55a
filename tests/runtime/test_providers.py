"""Execution providers: each runs all of a graph, or says what it lacks; none hands work to another in silence."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from commands import Replank, error_lines
from replank.models.onnx_file import operators_of
from replank.models.source import open_source
from replank.runtime import provider as provider_types
from replank.runtime import session
from replank.runtime.doctor import doctor
from replank.runtime.load import load_model
from replank.runtime.providers import PROVIDERS, Device, packages, provider_of
from replank.runtime.session import nodes_elsewhere, open_session, start
from replank.system.errors import FieldError, IncompatibleModelError, MissingExtraError, ProviderError, ReplankError
from small_models import save_model
from tiny import sentences

ROOT = Path(__file__).parents[2]
CPU = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
TEXTS = [text for text, _ in sentences(60, seed=3)] + ["good", "bad " * 40]


def why_not(device: Device) -> str:
    """Why a provider does not run here; empty where it does."""
    try:
        start(device)
    except ReplankError as error:
        return error.message
    return ""


needs_openvino = pytest.mark.skipif(bool(why_not("openvino")), reason=why_not("openvino"))
needs_bf16 = pytest.mark.skipif(bool(why_not("openvino-bf16")), reason=why_not("openvino-bf16"))
without_plugin = pytest.mark.skipif(PROVIDERS["openvino"].missing is None, reason="the plugin is installed")


def test_the_reference_comes_first_and_rows_have_the_names_of_their_devices() -> None:
    assert next(iter(PROVIDERS)) == "cpu"
    assert {device: row.device for device, row in PROVIDERS.items()} == {device: device for device in PROVIDERS}


def test_an_unknown_device_is_refused_by_name(onnx_artifact: Path) -> None:
    expected = re.escape(f"`device` is tpu; expected one of {', '.join(PROVIDERS)}")
    with pytest.raises(FieldError, match=expected):
        provider_of("tpu")
    with pytest.raises(FieldError, match=expected):
        load_model(open_source(onnx_artifact), device="tpu")


def test_every_provider_has_an_extra_that_installs_one_of_its_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for provider in PROVIDERS.values():
        names = {re.split(r"[\[>=<]", line)[0] for line in project["optional-dependencies"][provider.extra]}
        assert names & set(provider.packages)
        assert set(provider.packages) <= set(packages())


def test_a_new_provider_is_one_row(onnx_artifact: Path, int8_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU under another name: it runs, is named by the model, and doctor starts it."""
    row = replace(PROVIDERS["cpu"], device="npu", arithmetic="bf16", refused=frozenset({"int8"}))
    for name in ("replank.runtime.providers", "replank.runtime.doctor"):
        monkeypatch.setattr(f"{name}.PROVIDERS", {**PROVIDERS, "npu": row})
    model = load_model(open_source(onnx_artifact), device="npu", threads=1)
    assert (model.device, model.provider, model.arithmetic) == ("npu", "CPUExecutionProvider", "bf16")
    (check,) = (check for check in doctor() if check.name == "device npu")
    assert check.detail == "CPUExecutionProvider starts; computes fp32 models in bf16"
    with pytest.raises(ProviderError, match="int8 is INT8, which CPUExecutionProvider cannot run"):
        load_model(open_source(int8_artifact), device="npu")


def test_the_tiny_graph_is_one_addition() -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    assert onnx.load_from_string(session._TINY_GRAPH) == model
    start("cpu")


# What runs elsewhere


def test_what_another_provider_runs_is_counted_by_operator(onnx_artifact: Path) -> None:
    """The same session, seen as if another provider had been asked: then everything runs elsewhere."""
    path = onnx_artifact / "model.onnx"
    opened = open_session(path, threads=1)
    assert not nodes_elsewhere(opened, PROVIDERS["cpu"])
    elsewhere = nodes_elsewhere(opened, PROVIDERS["openvino"])
    assert (elsewhere["Attention"], elsewhere["SkipLayerNormalization"]) == (2, 4)
    assert elsewhere == Counter(node.op_type for node in onnx.load(str(path)).graph.node if node.op_type != "Constant")


def test_shape_arithmetic_may_stay_on_the_host_where_a_gpu_would_wait(onnx_artifact: Path) -> None:
    opened = open_session(onnx_artifact / "model.onnx", threads=1)
    everything = nodes_elsewhere(opened, PROVIDERS["openvino"])
    missed = nodes_elsewhere(opened, PROVIDERS["cuda"])
    assert everything["Gather"] >= 1
    assert everything["Cast"] >= 1
    assert missed["Attention"] == 2
    assert not {"Gather", "Cast"} & set(missed)


def test_the_host_may_compute_what_unfused_graphs_ask_of_shapes(tmp_path: Path) -> None:
    """As in ModernBERT's and MPNet's graphs by torchscript: the width of a head, and -1 as the rest of a shape."""
    ints = {name: np.array(value, np.int64) for name, value in {"last": -1, "heads": 4, "rest": [-1]}.items()}
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "last"], ["width"]),
        helper.make_node("Div", ["width", "heads"], ["head_width"]),
        helper.make_node("Unsqueeze", ["head_width", "zero"], ["one"]),
        helper.make_node("Equal", ["one", "rest"], ["is_rest"]),
        helper.make_node("Where", ["is_rest", "one", "rest"], ["chosen"]),
        helper.make_node("Concat", ["chosen", "one"], ["new_shape"], axis=0),
        helper.make_node("Reshape", ["x", "new_shape"], ["apart"]),
        helper.make_node("MatMul", ["apart", "weight"], ["y"]),
    ]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in ints.items()]
    constants.append(onnx.numpy_helper.from_array(np.zeros(1, np.int64), "zero"))
    constants.append(onnx.numpy_helper.from_array(np.ones((2, 2), np.float32), "weight"))
    graph = helper.make_graph(
        nodes,
        "shapes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", "width"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "a.onnx")
    opened = open_session(tmp_path / "a.onnx", threads=1)
    assert nodes_elsewhere(opened, PROVIDERS["cuda"]) == {"MatMul": 1}


# Plugins that are not there, or have no hardware


@without_plugin
def test_a_missing_plugin_says_what_to_install(onnx_artifact: Path) -> None:
    with pytest.raises(MissingExtraError, match="onnxruntime-ep-openvino is not installed") as refusal:
        load_model(open_source(onnx_artifact), device="openvino")
    assert refusal.value.hint == 'pip install "replank[openvino]"'


def test_a_plugin_that_is_not_installed_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    row = PROVIDERS["openvino"]
    assert isinstance(row, provider_types.Plugin)
    unknown = replace(row, packages=("no-such-plugin",))
    for name in ("replank.runtime.providers", "replank.runtime.doctor"):
        monkeypatch.setattr(f"{name}.PROVIDERS", {"cpu": PROVIDERS["cpu"], "openvino": unknown})
    with pytest.raises(MissingExtraError, match=r"^`device='openvino'`: no-such-plugin is not installed$"):
        start("openvino")
    (check,) = (check for check in doctor() if check.name == "device openvino")
    assert (check.status, check.hint) == ("absent", 'pip install "replank[openvino]"')


def test_a_plugin_without_a_device_for_this_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the plugin's releases up to 1.8.1 do on CPUs that are not Intel's: they load and offer nothing."""
    monkeypatch.setattr(provider_types, "register_library", lambda package: None)
    monkeypatch.setattr(onnxruntime, "get_ep_devices", list)
    monkeypatch.setattr(provider_types, "installed_version", lambda package: "1.8.1")
    with pytest.raises(ProviderError) as refusal:
        start("openvino")
    assert refusal.value.message == "`device='openvino'`: onnxruntime-ep-openvino 1.8.1 does not support this CPU"
    checks = {check.name: check for check in doctor()}
    assert checks["device openvino"].status == "warning"
    assert checks["device openvino"].detail == "onnxruntime-ep-openvino 1.8.1 does not support this CPU"
    assert "`device='cpu'` runs everywhere" in str(checks["device openvino"].hint)
    assert checks["device cpu"].status == "ok"


def test_doctor_starts_every_provider() -> None:
    checks = {check.name: check for check in doctor()}
    assert [name for name in checks if name.startswith("device ")] == [f"device {device}" for device in PROVIDERS]
    assert checks["device cpu"].detail == "CPUExecutionProvider starts; computes fp32 models in fp32"


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this is the CUDA build")
def test_a_provider_of_the_other_wheel_is_absent() -> None:
    checks = {check.name: check for check in doctor()}
    assert (checks["device cuda"].status, checks["device cuda"].hint) == (
        "absent",
        'uninstall the present onnxruntime, then pip install "replank[gpu]"',
    )


@pytest.mark.parametrize("device", [device for device, row in PROVIDERS.items() if row.torch_device is None])
def test_a_torch_model_runs_on_no_provider_for_graphs(successor: Path, device: Device) -> None:
    with pytest.raises(
        ProviderError, match=f"`device='{device}'` runs ONNX graphs, and .* is a torch model"
    ) as refusal:
        load_model(open_source(successor), device=device)
    assert str(refusal.value.hint).startswith("replank export")


def test_a_model_says_what_runs_it_and_in_what_arithmetic(
    successor: Path, onnx_artifact: Path, int8_artifact: Path
) -> None:
    found = [load_model(open_source(path), threads=1) for path in (successor, onnx_artifact, int8_artifact)]
    assert [model.provider for model in found] == [None, "CPUExecutionProvider", "CPUExecutionProvider"]
    assert [model.arithmetic for model in found] == ["fp32", "fp32", "int8"]


# Dynamic INT8


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


# OpenVINO itself


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
