"""Facts of the machine and its libraries, for manifests, for thread counts and for `replank doctor`."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path
from typing import Any, Literal

from replank.system.extras import installed_version

_INSTRUCTION_SETS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "asimddp",
)
# vnni: four products of 8 bits are added up in 32 bits. avx2: in 16 bits, which two products of 8 bits can exceed.
Int8Target = Literal["vnni", "avx2", "arm64"]
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime", "onnxruntime-gpu", "tokenizers", "numpy")


def available_cores() -> int:
    """How many cores this process may use: its affinity, within the cgroup's quota and OMP_NUM_THREADS."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if quota := cgroup_quota():
        cores = min(cores, math.ceil(quota))
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(asked)) if asked.isdigit() else cores)


def cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """The cgroup's CPU quota in cores (version 2, then version 1), or ``None`` where there is no limit."""
    try:
        quota, period = (root / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_v1 = int((root / "cpu/cpu.cfs_quota_us").read_text(encoding="ascii"))
        period_v1 = int((root / "cpu/cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return quota_v1 / period_v1 if quota_v1 > 0 else None


def instruction_sets() -> list[str]:
    """The vector and matrix instruction sets of this CPU that decide how fast INT8 and bf16 are."""
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return [name for name in _INSTRUCTION_SETS if name in flags.split()]


def has_fast_int8() -> bool:
    """Whether the CPU multiplies INT8 without the saturation and the detours of plain AVX2."""
    return bool({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp"} & set(instruction_sets()))


def int8_target() -> Int8Target:
    """The instructions that INT8 graphs have to be made for here."""
    if {"avx_vnni", "avx512_vnni", "amx_int8"} & set(instruction_sets()):
        return "vnni"
    return "arm64" if platform.machine() in ("aarch64", "arm64") else "avx2"


def has_fast_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware."""
    return bool({"avx512_bf16", "amx_bf16"} & set(instruction_sets()))


def machine() -> dict[str, Any]:
    """What a number must be read with: CPU, cores, memory, system."""
    return {
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": available_cores(),
        "instruction_sets": instruction_sets(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """Versions of replank, Python and the libraries that make the numbers."""
    found = {name: installed_version(name) for name in ("replank", *_LIBRARIES)}
    return {"python": platform.python_version()} | {name: value for name, value in found.items() if value}


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":", 1)[0].strip() == key), "")


def _memory_gib() -> float:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        return 0.0
