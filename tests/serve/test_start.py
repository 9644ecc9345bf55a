"""What ends a server before it is ready, and what it never imports."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import ProviderError, ReplankError
from replank_serve.app import ServeConfig
from replank_serve.server import run_server
from served_process import RUNNER
from waiting import HANG_SECONDS


def test_a_port_in_use_is_said_before_anything_is_loaded(onnx_artifact: Path) -> None:
    model = load_model(open_source(onnx_artifact), threads=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ReplankError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"
        ) as info:
            run_server(model, ServeConfig(port=port))
    assert info.value.exit_code == 1
    assert info.value.hint == "another program listens there; choose another `port`, or 0 for a free one"


def test_an_address_of_another_machine_is_said(onnx_artifact: Path) -> None:
    model = load_model(open_source(onnx_artifact), threads=1)
    with pytest.raises(ReplankError, match=r"192\.0\.2\.1 port 0: Cannot assign"):
        run_server(model, ServeConfig(host="192.0.2.1", port=0))


def test_cuda_that_is_not_there_is_refused_at_start(onnx_artifact: Path) -> None:
    """ONNX Runtime itself would run on the CPU in silence."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ProviderError, match="this onnxruntime has no CUDAExecutionProvider"):
        load_model(open_source(onnx_artifact), device="cuda")


def test_serving_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, replank_serve.app, replank_serve.server, replank.benchmarking.run, replank.benchmarking.worker; "
        "print({'torch', 'transformers', 'compress', 'export'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    # `compress` and `export` are only looked for, never run: replank checks that they lie beside it.
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_a_model_that_fails_in_its_warm_up_ends_the_server(onnx_artifact: Path) -> None:
    code = RUNNER.replace("    return model.predictor(batch)", "    raise RuntimeError('no kernel')")
    done = subprocess.run(
        [sys.executable, "-c", code, str(onnx_artifact), "0", "{}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("ReplankError: the model failed in its warm-up: no kernel\n")
    assert "serving" not in done.stderr
