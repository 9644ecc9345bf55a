"""Execution providers: one row for each, with everything that replank knows of it.

A new provider is a row in :data:`PROVIDERS`, an extra in pyproject.toml, and a test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from replank.runtime.provider import Arithmetic, BuiltIn, Library, Plugin, Provider
from replank.runtime.provider import Device as Device
from replank.system.errors import FieldError, MissingExtraError
from replank.system.extras import installed_version

# Arithmetic on shapes, which ONNX Runtime deliberately computes on the host: a GPU would only wait for it. CUDA has a
# kernel for each of these, so that none is on the host for want of one.
_SHAPE_OPERATORS = frozenset(
    {"Shape", "Size", "Range", "Cast", "ConstantOfShape", "Expand"}  # made
    | {"Gather", "Slice", "Squeeze", "Unsqueeze", "Reshape", "Concat"}  # taken apart and put together
    | {"Add", "Sub", "Mul", "Div", "Sqrt", "Equal", "Where"}  # computed, by scales of attention too
)
# Products of integers whose scales come with the activations. In a static graph the scales stand beside the weights.
_DYNAMIC_INT8 = ("MatMulIntegerToFloat", "MatMulInteger", "DynamicQuantizeMatMul", "QAttention")
_IN_FLOATING_POINT = (
    "a product of dynamic INT8, which OpenVINO computes in floating point, in two to five times the CPU's time: "
    "quantize with `scheme=static` for it"
)


def _openvino(device: Device, arithmetic: Arithmetic) -> Plugin:
    """OpenVINO on the CPU.

    Left to itself it computes fp32 graphs in bf16 on every CPU that can. On BERT-base's shape with 6 layers that takes
    half the time, and moves logits of 0.3 by 6e-3 instead of 7e-7: two labels of a thousand of random tokens change.
    So bf16 has a name of its own, and ``openvino`` gives the numbers of fp32.
    """

    def options(threads: int) -> dict[str, str]:
        precision = {"fp32": "f32", "bf16": "bf16"}[arithmetic]
        settings = {"CPU": {"INFERENCE_NUM_THREADS": str(threads), "INFERENCE_PRECISION_HINT": precision}}
        return {"load_config": json.dumps(settings)}

    return Plugin(
        device,
        "OpenVINOExecutionProvider",
        extra="openvino",
        packages=("onnxruntime-ep-openvino",),
        arithmetic=arithmetic,
        refused_operators={
            **dict.fromkeys(_DYNAMIC_INT8, _IN_FLOATING_POINT),
            # Up to 1.8.1: logits of tiny ModernBERT and EuroBERT are off by a third and by half of their size.
            "RotaryEmbedding": "which OpenVINO computes with other results than every other provider",
        },
        options=options,
        capabilities_key="OPTIMIZATION_CAPABILITIES",
        fp32_device="openvino",
        no_hardware_hint="releases of the plugin up to 1.8.1 support Intel CPUs only; `device='cpu'` runs everywhere",
    )


def _cuda_options(threads: int) -> dict[str, str]:
    """fp32 in fp32, not in TF32, whose products have 10 bits; and sums of norms in fp32 where values are fp16.

    Both are onnxruntime's other choice. On the CPU, where exports are compared with torch, neither happens.
    """
    return {"use_tf32": "0", "enable_skip_layer_norm_strict_mode": "1"}


_CUDA_LIBRARIES = (
    Library("CUDA driver", "libcuda.so.1", "install the NVIDIA driver (580 or newer for CUDA 13)"),
    Library("cuBLAS", "libcublas.so.13", 'pip install "onnxruntime-gpu[cuda,cudnn]"'),
    Library("CUDA runtime", "libcudart.so.13", 'pip install "onnxruntime-gpu[cuda,cudnn]"'),
    Library("cuRAND", "libcurand.so.10", "pip install nvidia-curand"),
)

_ROWS: tuple[Provider, ...] = (
    BuiltIn(
        "cpu",
        "CPUExecutionProvider",
        extra="cpu",
        packages=("onnxruntime", "onnxruntime-gpu"),
        torch_device="cpu",
    ),
    BuiltIn(
        "cuda",
        "CUDAExecutionProvider",
        extra="gpu",
        packages=("onnxruntime-gpu",),
        is_gpu=True,
        torch_device="cuda",
        refused=frozenset({"int8"}),
        host_operators=_SHAPE_OPERATORS,
        options=_cuda_options,
        libraries=_CUDA_LIBRARIES,
    ),
    _openvino("openvino", "fp32"),
    _openvino("openvino-bf16", "bf16"),
)

# The reference comes first.
PROVIDERS: Mapping[Device, Provider] = {row.device: row for row in _ROWS}
# Those that need no plugin.
BUILT_IN = tuple(row.device for row in _ROWS if isinstance(row, BuiltIn))


def provider_of(device: Device) -> Provider:
    """The provider of a device.

    :raises FieldError: there is none of that name.
    """
    if device not in PROVIDERS:
        raise FieldError("device", device, f"one of {', '.join(PROVIDERS)}")
    return PROVIDERS[device]


def wheels() -> dict[str, str]:
    """The installed wheels of ONNX Runtime and their versions; they contain the same module, so one is right."""
    names = dict.fromkeys(package for row in PROVIDERS.values() if isinstance(row, BuiltIn) for package in row.packages)
    return {name: version for name in names if (version := installed_version(name))}


def packages() -> tuple[str, ...]:
    """The distributions that contain any provider."""
    return tuple(dict.fromkeys(package for row in PROVIDERS.values() for package in row.packages))


def require_onnxruntime() -> None:
    """Make sure that a wheel of ONNX Runtime is installed.

    :raises MissingExtraError: none is.
    """
    if not wheels():
        raise MissingExtraError("onnxruntime is not installed", hint=installation())


def installation() -> str:
    """The command that installs ONNX Runtime."""
    extras = (row.extra for row in PROVIDERS.values() if isinstance(row, BuiltIn))
    return "pip install " + " or ".join(f'"replank[{extra}]"' for extra in extras)
