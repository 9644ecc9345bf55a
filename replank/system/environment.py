"""Facts of the machine and its libraries: for manifests, thread counts and ``replank doctor``."""

from __future__ import annotations

import math
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from replank.system.cgroups import cgroup_quota
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
# vnni adds up four 8-bit products in 32 bits; avx2 adds up two in 16 bits, which saturates.
Int8Target = Literal["vnni", "avx2", "arm64"]
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime", "onnxruntime-gpu", "tokenizers", "numpy")


def available_cores() -> int:
    """The number of cores this process may use: its affinity, within the cgroups' quota and OMP_NUM_THREADS.

    A quota of 1.5 cores counts as 2: it is spent in whole cores, by turns, and one thread would leave a third of it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if quota := cgroup_quota():
        cores = min(cores, math.ceil(quota))
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(asked)) if asked.isdigit() else cores)


def instruction_sets() -> list[str]:
    """The instruction sets of this CPU that decide the speed of INT8 and bf16."""
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return [name for name in _INSTRUCTION_SETS if name in flags.split()]


def has_fast_int8() -> bool:
    """Whether the CPU has INT8 dot products, without the saturation and the detours of plain AVX2."""
    return bool({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp"} & set(instruction_sets()))


def int8_target() -> Int8Target:
    """The instructions for which INT8 graphs have to be made on this machine."""
    if {"avx_vnni", "avx512_vnni", "amx_int8"} & set(instruction_sets()):
        return "vnni"
    return "arm64" if platform.machine() in ("aarch64", "arm64") else "avx2"


def has_fast_bf16() -> bool:
    """Whether the CPU multiplies bf16 faster than fp32.

    Intel's does with AMX alone, which a virtual machine may hide: its AVX-512 instruction takes twice the time of
    fp32's, AMD's half of it.
    """
    found = instruction_sets()
    return "amx_bf16" in found or ("avx512_bf16" in found and _cpuinfo("vendor_id") != "GenuineIntel")


@dataclass(frozen=True)
class Processor:
    """A CPU as this process may use it.

    :param cores: see :func:`available_cores`.
    :param instruction_sets: those that decide the speed of INT8 and bf16.
    """

    cpu: str
    architecture: str
    cores: int
    instruction_sets: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} core{'s' * (self.cores > 1)}"


@dataclass(frozen=True)
class Machine(Processor):
    """The machine that a measurement was made on."""

    memory_gib: float
    system: str


def processor() -> Processor:
    """This machine's CPU."""
    return Processor(
        cpu=_cpuinfo("model name") or platform.processor() or platform.machine(),
        architecture=platform.machine(),
        cores=available_cores(),
        instruction_sets=tuple(instruction_sets()),
    )


def machine() -> Machine:
    """This machine."""
    return Machine(**asdict(processor()), memory_gib=_memory_gib(), system=f"{platform.system()} {platform.release()}")


def versions() -> dict[str, str]:
    """Versions of replank, Python and the libraries that compute."""
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
