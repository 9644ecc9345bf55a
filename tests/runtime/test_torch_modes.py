"""The ways to run a torch model: the same answers in each."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from replank.models.source import open_source
from replank.runtime import torch_int8
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.timing import random_batch
from replank.runtime.torch_modes import TorchMode, in_mode
from replank.system.errors import FieldError, MissingExtraError


@pytest.mark.parametrize(("mode", "tolerance"), [("bf16", 0.1), ("fp16", 0.02)])
def test_every_precision_gives_the_same_answers(successor: Path, mode: TorchMode, tolerance: float) -> None:
    model = load_model(open_source(successor), threads=1)
    batch = random_batch(model, 2, 8, seed=0)
    expected = model.predictor(batch)
    assert in_mode(model, "fp32") is model
    assert 0 < np.abs(in_mode(model, mode).predictor(batch) - expected).max() <= tolerance


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "tolerance"), [("compiled", 1e-5), ("compiled-int8", 0.1)])
def test_compiled_it_gives_the_same_answers_at_every_shape(successor: Path, mode: str, tolerance: float) -> None:
    """In a process of its own, as a benchmark's worker is: torch's compiler sets up much for the rest of a process."""
    if mode == "compiled-int8" and find_spec("torchao") is None:
        pytest.skip("torchao is not installed")
    code = f"""
import numpy
from replank.runtime import torch_int8
from replank.runtime.load import load_model
from replank.models.source import open_source
from replank.runtime.timing import random_batch
from replank.runtime.torch_modes import in_mode
model = load_model(open_source({str(successor)!r}), threads=1)
batches = [random_batch(model, *shape, seed=0) for shape in ((2, 8), (1, 8), (4, 16))]
expected = [model.predictor(batch) for batch in batches]
compiled = in_mode(model, {mode!r})
print(max(numpy.abs(compiled.predictor(batch) - one).max() for batch, one in zip(batches, expected)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout) <= tolerance


def test_an_onnx_model_has_no_ways(model: Model) -> None:
    with pytest.raises(FieldError, match=r"`torch_modes` is bf16; expected fp32 for .*, an ONNX model"):
        in_mode(model, "bf16")


def test_int8_of_torch_needs_torchao(successor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_int8, "installed_version", lambda _: None)
    monkeypatch.setenv("CXX", sys.executable)
    with pytest.raises(MissingExtraError, match="not installed: torchao") as info:
        in_mode(load_model(open_source(successor), threads=1), "compiled-int8")
    assert info.value.hint == "pip install torchao"
