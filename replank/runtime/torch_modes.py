"""Execution modes of torch models that a benchmark compares: eager or compiled, in fp32, bf16, fp16 or INT8."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Literal

from replank.runtime.torch_devices import torch_device
from replank.runtime.torch_int8 import quantize_dynamically
from replank.system.errors import FieldError, ProviderError

if TYPE_CHECKING:
    from replank.runtime.model import Model

TorchMode = Literal["fp32", "bf16", "fp16", "compiled", "compiled-bf16", "compiled-fp16", "compiled-int8"]
DEFAULT_MODE: TorchMode = "fp32"
_EXAMPLE_TOKENS = 16


def in_mode(model: Model, mode: TorchMode) -> Model:
    """The same torch model in another execution mode; a compiled one compiles during its first runs.

    ``compiled-int8`` is PyTorch's own quantization, without data: see :mod:`replank.runtime.torch_int8`.

    :raises FieldError: an ONNX model, whose precision was decided when it was exported.
    :raises ProviderError: there is no C++ compiler, which torch's compiler needs on a CPU.
    :raises MissingExtraError: torchao is not installed, which quantizes.
    """
    if mode == DEFAULT_MODE:
        return model
    from replank.runtime.predictors import TorchPredictor, innermost
    from replank.runtime.timing import random_batch

    predictor = innermost(model.predictor)
    if not isinstance(predictor, TorchPredictor):
        raise FieldError("torch_modes", mode, f"{DEFAULT_MODE} for {model.source.name}, an ONNX model")
    if mode.startswith("compiled") and model.device == "cpu":
        _require_compiler(mode)
    import torch
    import torch._inductor.config

    # The whole graph or an error: torch would silently leave parts of it, or shapes beyond its limit, eager.
    if mode == "compiled-int8":
        example = random_batch(model, 2, min(_EXAMPLE_TOKENS, model.source.position_limit), seed=0)
        inputs = {name: torch.from_numpy(value) for name, value in example.inputs().items()}
        module = quantize_dynamically(predictor.module, inputs)
        # Weights are packed for INT8 only as constants, which torch makes of them only for the whole process.
        torch._inductor.config.freezing = True
        module.compile(fullgraph=True)
    else:
        kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        module = predictor.module.to(kinds[precision_of(mode)])
        if mode.startswith("compiled"):
            module.compile(fullgraph=True)
    return model.run_by(TorchPredictor(module, torch_device(model.device, model.source.name)))


def _require_compiler(mode: TorchMode) -> None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ProviderError(
            f"`torch_modes='{mode}'`: torch compiles with {compiler}, which is not on this machine",
            hint="install a C++ compiler (Debian: apt-get install g++), or name one in CXX",
        )


def precision_of(mode: TorchMode) -> str:
    """The precision of a mode: ``fp32``, ``bf16``, ``fp16`` or ``int8``."""
    precision = mode.rpartition("-")[2]
    return "fp32" if precision == "compiled" else precision
