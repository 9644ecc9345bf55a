"""`replank doctor`: everything that goes wrong in silence, looked at."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from typing import Literal

from replank.runtime.providers import PROVIDERS, start
from replank.system.environment import available_cores, cgroup_quota, has_fast_bf16, has_fast_int8, instruction_sets
from replank.system.errors import ReplankError
from replank.system.extras import installed_version


@dataclass(frozen=True)
class Check:
    """One line of `replank doctor`."""

    name: str
    status: Literal["ok", "absent", "warning", "error"]
    detail: str
    hint: str | None = None


def doctor() -> list[Check]:
    """Look at everything that goes wrong in silence, with a hint for each thing that is wrong."""
    return [
        _check_python(),
        _check_cores(),
        _check_instruction_sets(),
        _check_wheels(),
        *_check_cuda(),
        *_check_providers(),
        _check_torch(),
    ]


def _check_python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} in {sys.prefix}")


def _check_cores() -> Check:
    host, ours, quota = os.cpu_count() or 1, available_cores(), cgroup_quota()
    limit = f", cgroup quota {quota:g}" if quota else ", no cgroup quota"
    return Check("cores", "ok", f"{ours} of the machine's {host} for this process{limit}")


def _check_instruction_sets() -> Check:
    found = ", ".join(instruction_sets()) or "none known"
    if has_fast_int8():
        return Check("instruction sets", "ok", found)
    return Check(
        "instruction sets",
        "warning",
        found,
        "INT8 gains little without VNNI, AMX or dot-product instructions; use fp32",
    )


def _check_wheels() -> Check:
    cpu, gpu = installed_version("onnxruntime"), installed_version("onnxruntime-gpu")
    if cpu and gpu:
        return Check(
            "onnxruntime",
            "error",
            f"onnxruntime {cpu} and onnxruntime-gpu {gpu} are both installed and overwrite each other's files",
            "pip uninstall -y onnxruntime onnxruntime-gpu, then install the one you need",
        )
    if not (cpu or gpu):
        return Check("onnxruntime", "error", "not installed", 'pip install "replank[cpu]" or "replank[gpu]"')
    try:
        import onnxruntime

        providers = ", ".join(onnxruntime.get_available_providers())
    except ImportError as error:
        return Check("onnxruntime", "error", f"cannot be imported: {error}", "reinstall it")
    return Check("onnxruntime", "ok", f"{cpu or gpu} ({'CPU' if cpu else 'CUDA'} build): {providers}")


def _check_cuda() -> list[Check]:
    """The driver and the libraries that the CUDA provider loads; nothing to say of a CPU build."""
    if not installed_version("onnxruntime-gpu"):
        return []
    import onnxruntime

    onnxruntime.preload_dlls()
    wanted = {
        "CUDA driver": ("libcuda.so.1", "install the NVIDIA driver (580 or newer for CUDA 13)"),
        "cuBLAS": ("libcublas.so.13", 'pip install "onnxruntime-gpu[cuda,cudnn]"'),
        "CUDA runtime": ("libcudart.so.13", 'pip install "onnxruntime-gpu[cuda,cudnn]"'),
        "cuRAND": ("libcurand.so.10", "pip install nvidia-curand"),
    }
    return [_check_library(name, file, hint) for name, (file, hint) in wanted.items()]


def _check_library(name: str, file: str, hint: str) -> Check:
    try:
        ctypes.CDLL(file)
    except OSError as error:
        return Check(name, "error", str(error), hint)
    return Check(name, "ok", file)


def _check_providers() -> list[Check]:
    """Whether each execution provider really starts: being listed proves nothing."""
    if not (installed_version("onnxruntime") or installed_version("onnxruntime-gpu")):
        return []
    checks = []
    for device, provider in PROVIDERS.items():
        name = f"--device {device}"
        if missing := provider.missing:
            checks.append(Check(name, "absent", f"{provider.name} is not installed", missing))
            continue
        try:
            start(device)
        except ReplankError as error:
            checks.append(Check(name, "warning", error.message.removeprefix(f"{name}: "), error.hint))
        else:
            checks.append(Check(name, "ok", f"{provider.name} starts; computes fp32 models in {provider.arithmetic}"))
    return checks


def _check_torch() -> Check:
    version = installed_version("torch")
    if version is None:
        return Check("torch", "ok", "not installed: fine for serving, needed by finetune, compress and export")
    bf16 = "bf16 in hardware" if has_fast_bf16() else "no bf16 in hardware: training runs in fp32"
    return Check("torch", "ok", f"{version}, {bf16}")
