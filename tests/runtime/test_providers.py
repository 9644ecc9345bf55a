"""Execution providers: each runs all of a graph, or says what it lacks; none hands work to another in silence."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from replank.models.source import open_source
from replank.runtime import provider as provider_types
from replank.runtime import session
from replank.runtime.doctor import doctor
from replank.runtime.load import load_model
from replank.runtime.providers import PROVIDERS, Device, packages, provider_of
from replank.runtime.session import nodes_elsewhere, open_session, start
from replank.system.errors import FieldError, MissingExtraError, ProviderError

ROOT = Path(__file__).parents[2]
CPU = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""


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
