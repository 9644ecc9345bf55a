"""What CUDA does where it fails, played without a GPU; and, where there is one, that its numbers are right."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_inference_collection
from onnxruntime.capi import onnxruntime_pybind11_state as bindings

from commands import Replank
from providers import why_not
from replank.models.artifact import Artifact
from replank.models.int8_facts import Int8Facts, IntegerFacts
from replank.models.manifest import MANIFEST, manifest_text
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.providers import PROVIDERS
from replank.runtime.session import open_session
from replank.system.errors import ModelError, ProviderError
from replank_export.convert import ExportConfig, export
from replank_export.verify.compare import verify

# Of onnxruntime-gpu 1.31.1 where the driver is older than CUDA; the paths are shortened.
_TOO_OLD = (
    "/onnxruntime_src/cuda_call.cc:154 [with ERRTYPE = cudaError; bool THRW = true] CUDA failure 35: CUDA driver "
    "version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=vm ; expr=cudaSetDevice(0); \n\n"
)


def fail_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CUDA build as it is on a machine with an old driver."""
    create = onnxruntime_inference_collection.InferenceSession._create_inference_session

    def created(session: Any, providers: Any, *arguments: Any) -> None:
        if providers and providers[0][0] == "CUDAExecutionProvider":
            # What it needs to fall back, were it allowed to.
            session._fallback_providers = ["CPUExecutionProvider"]
            raise RuntimeError(_TOO_OLD)
        create(session, providers, *arguments)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcublas.so.13"))  # noqa: T201
    monkeypatch.setattr(onnxruntime_inference_collection.InferenceSession, "_create_inference_session", created)


def test_a_provider_that_does_not_start_says_why_and_prints_nothing(
    onnx_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_to_start(monkeypatch)
    with pytest.raises(ProviderError) as refusal:
        load_model(open_source(onnx_artifact), device="cuda")
    assert refusal.value.message == (
        "`device='cuda'`: CUDAExecutionProvider did not start: "
        "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version"
    )
    assert refusal.value.hint == "replank doctor shows which library or driver is missing"
    assert capsys.readouterr() == ("", "")


def test_doctor_prints_json_alone_where_cuda_does_not_start(replank: Replank, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_to_start(monkeypatch)
    checks = {check["name"]: check for check in json.loads(replank("doctor", "--json").out)}
    assert checks["device cuda"]["status"] == "warning"
    assert "CUDA failure 35" in checks["device cuda"]["detail"]


def test_a_graph_that_cannot_be_loaded_is_not_the_providers_fault(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="onnxruntime cannot load"):
        open_session(tmp_path / "model.onnx")


def test_a_provider_that_fails_in_a_run_is_not_replaced_by_the_cpu(onnx_artifact: Path) -> None:
    model = load_model(open_source(onnx_artifact), threads=1)
    opened: Any = open_session(onnx_artifact / "model.onnx", threads=1)

    class Failing:
        def is_webgpu_graph_capture_enabled(self) -> bool:
            return False

        def run(self, *_: Any) -> None:
            raise bindings.EPFail("CUDA failure 700: an illegal memory access was encountered")

    feeds = model.text_encoder.pad(model.text_encoder.tokenize(["good"])).inputs()
    opened._sess = Failing()
    with pytest.raises(bindings.EPFail, match="CUDA failure 700"):
        opened.run(None, feeds)


def test_integers_for_cuda_are_not_refused_as_other_int8_is(int8_artifact: Path, tmp_path: Path) -> None:
    shutil.copytree(int8_artifact, tmp_path / "integers")
    manifest = Artifact.open(int8_artifact).manifest
    integer = IntegerFacts(target="cuda", compared=1, types={}, float_tensors=(), tensors=())
    facts = replace(manifest.made_by.facts_of(Int8Facts), integer=integer)
    changed = replace(manifest, made_by=replace(manifest.made_by, facts=facts))
    (tmp_path / "integers" / MANIFEST).write_text(manifest_text(changed.to_json()), encoding="utf-8")
    PROVIDERS["cuda"].require_precision(open_source(tmp_path / "integers"))
    with pytest.raises(ProviderError, match="int8 is INT8, which CUDAExecutionProvider cannot run"):
        PROVIDERS["cuda"].require_precision(open_source(int8_artifact))


# Where there is a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_cuda_gives_torchs_numbers_under_any_padding(precision: Any, successor: Path, tmp_path: Path) -> None:
    assert why_not("cuda") == ""
    made = export(open_source(successor), tmp_path / precision, ExportConfig(precision=precision))
    reference = load_model(open_source(successor))
    found = verify(reference, load_model(open_source(made.path), device="cuda"), precision=precision)
    found.require()
    assert np.isfinite(found.differences.max_abs)
