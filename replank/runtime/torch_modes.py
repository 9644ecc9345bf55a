"""Execution modes of torch models that a benchmark compares: eager or compiled, in fp32, bf16 or fp16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from replank.runtime.torch_devices import torch_device
from replank.system.errors import FieldError

if TYPE_CHECKING:
    from replank.runtime.model import Model

TorchMode = Literal["fp32", "bf16", "fp16", "compiled", "compiled-bf16", "compiled-fp16"]
DEFAULT_MODE: TorchMode = "fp32"


def in_mode(model: Model, mode: TorchMode) -> Model:
    """The same torch model in another execution mode; a compiled one compiles during its first runs.

    :raises FieldError: an ONNX model, whose precision was decided when it was exported.
    """
    if mode == DEFAULT_MODE:
        return model
    from replank.runtime.predictors import ReferencePredictor, TorchPredictor

    predictor = model.predictor
    predictor = predictor.inner if isinstance(predictor, ReferencePredictor) else predictor
    if not isinstance(predictor, TorchPredictor):
        raise FieldError("torch_modes", mode, f"{DEFAULT_MODE} for {model.source.name}, an ONNX model")
    import torch

    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    module = predictor.module.to(kinds[precision_of(mode)])
    if mode.startswith("compiled"):
        # The whole graph or an error: torch would silently leave parts of it, or shapes beyond its limit, eager.
        module.compile(fullgraph=True)
    return model.run_by(TorchPredictor(module, torch_device(model.device, model.source.name)))


def precision_of(mode: TorchMode) -> str:
    """The precision of a mode: ``fp32``, ``bf16`` or ``fp16``."""
    precision = mode.rpartition("-")[2]
    return "fp32" if precision == "compiled" else precision
