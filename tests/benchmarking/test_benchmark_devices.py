"""Models of several kinds on several devices: who is measured where, and what is said of the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from commands import Replank, error_lines
from replank.benchmarking.run import BenchmarkConfig, benchmark
from replank.runtime.providers import PROVIDERS
from replank.system.errors import FieldError, IncompatibleModelError, MissingExtraError, ProviderError

QUICK: dict[str, Any] = {
    "batch_sizes": (1,), "lengths": (8,), "rounds": 1, "min_seconds": 0.0, "max_seconds": 0.0, "threads": 1,
    "clock": "wall",
}  # fmt: skip
ON_OPENVINO = "`device='openvino'` runs ONNX graphs, and successor is a torch model"
FLAGS = ("--batch-size", 1, "--length", 8, "--rounds", 1, "--threads", 1, "--clock", "wall")


def is_here(device: str) -> bool:
    """Whether this machine can run ONNX models on a device."""
    from replank.runtime.session import start

    try:
        start(device)
    except (ProviderError, MissingExtraError):
        return False
    return True


needs_no_cuda = pytest.mark.skipif(is_here("cuda"), reason="CUDA is here")
needs_no_openvino = pytest.mark.skipif(is_here("openvino"), reason="OpenVINO is here")


@pytest.fixture
def openvino_as_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that runs ONNX graphs only, on every machine: the CPU under the name of another."""
    import replank.benchmarking.process as process

    program = (
        "from dataclasses import replace; from replank.runtime import providers;"
        "row = replace(providers.PROVIDERS['cpu'], device='openvino', torch_device=None);"
        "providers.PROVIDERS['openvino'] = row;"
        "from replank.benchmarking.worker import main; main()"
    )
    monkeypatch.setattr(process, "_COMMAND", (*process._COMMAND[:-1], program))


@pytest.mark.usefixtures("openvino_as_cpu")
def test_each_model_is_measured_on_each_device_that_can_run_it(
    successor: Path, onnx_artifact: Path, replank: Replank
) -> None:
    config = BenchmarkConfig((str(successor), str(onnx_artifact)), devices=("openvino", "cpu"), **QUICK)
    done: list[int] = []
    result = benchmark(config, lambda amount=1, note="": done.append(amount))
    assert [model.name for model in result.models] == ["successor on cpu", "onnx on openvino", "onnx on cpu"]
    assert result.left_out == {"successor on openvino": ON_OPENVINO}
    assert {cell.model for cell in result.cells} == {model.name for model in result.models}
    assert (result.baseline, sum(done)) == ("successor on cpu", config.units)

    shown = replank("benchmark", successor, onnx_artifact, "--device", "openvino", "--device", "cpu", *FLAGS)
    assert shown.code == 0
    text = " ".join(shown.out.split())
    assert (
        "successor on openvino is left out: --device openvino runs ONNX graphs, and successor is a torch model" in text
    )


@pytest.mark.usefixtures("openvino_as_cpu")
def test_a_model_that_no_device_can_run_is_left_out_and_listed(
    successor: Path, onnx_artifact: Path, replank: Replank
) -> None:
    done = replank("benchmark", successor, onnx_artifact, "--device", "openvino", *FLAGS, "--json")
    result = json.loads(done.out)
    assert ([model["name"] for model in result["models"]], result["left_out"]) == (["onnx"], {"successor": ON_OPENVINO})


def test_it_is_an_error_if_nothing_can_be_measured(successor: Path, int8_artifact: Path, replank: Replank) -> None:
    with pytest.raises(IncompatibleModelError) as refusal:
        benchmark(BenchmarkConfig((str(successor),), devices=("openvino", "openvino-bf16"), **QUICK))
    assert refusal.value.message == (
        f"nothing can be measured: successor on openvino: {ON_OPENVINO}; successor on openvino-bf16: "
        "`device='openvino-bf16'` runs ONNX graphs, and successor is a torch model"
    )
    assert error_lines(replank("benchmark", int8_artifact, "--device", "cuda", *FLAGS)) == [
        "error: nothing can be measured: int8: int8 is INT8, which CUDAExecutionProvider cannot run",
        "hint: --device cpu runs every model",
    ]


def test_the_baseline_is_never_left_out(successor: Path, onnx_artifact: Path) -> None:
    models = (str(successor), str(onnx_artifact))
    baseline = "successor on openvino"
    with pytest.raises(IncompatibleModelError, match="is a torch model"):
        benchmark(BenchmarkConfig(models, devices=("cpu", "openvino"), baseline=baseline, **QUICK))


@needs_no_cuda
@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_device_that_this_machine_lacks_is_an_error(
    successor: Path, onnx_artifact: Path, replank: Replank, kind: str
) -> None:
    """Also beside others: it was asked for."""
    model = {"torch": successor, "onnx": onnx_artifact}[kind]
    lack = {
        "torch": "error: --device cuda: torch finds no such device",
        "onnx": "error: --device cuda: this onnxruntime has no CUDAExecutionProvider",
    }[kind]
    done = replank("benchmark", model, "--device", "cpu", "--device", "cuda", *FLAGS)
    assert (done.code, error_lines(done)[0]) == (1, lack)


@needs_no_cuda
@needs_no_openvino
def test_a_mix_does_not_hide_what_this_machine_lacks(successor: Path, onnx_artifact: Path) -> None:
    models = (str(successor), str(onnx_artifact))
    with pytest.raises((ProviderError, MissingExtraError), match="`device='openvino'`: ") as refusal:
        benchmark(BenchmarkConfig(models, devices=("cpu", "openvino"), **QUICK))
    assert not isinstance(refusal.value, IncompatibleModelError)


def test_a_device_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(FieldError, match=f"`device` is tpu; expected one of {', '.join(PROVIDERS)}"):
        BenchmarkConfig(("a",), devices=("cpu", "tpu"))
