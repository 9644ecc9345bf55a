"""The checks of ``replank doctor``: everything about an installation that fails silently."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from typing import Literal

from replank.runtime.provider import Library, Provider
from replank.runtime.providers import PROVIDERS, installation, wheels
from replank.runtime.session import start
from replank.system.cgroups import cgroup_quota
from replank.system.environment import available_cores, has_fast_bf16, has_fast_int8, instruction_sets
from replank.system.errors import ReplankError
from replank.system.extras import installed_version


@dataclass(frozen=True)
class Check:
    """The result of one check.

    :param status: ``absent``: not installed, which is fine if it is not needed.
    :param hint: what would help; ``None`` if nothing is wrong.
    """

    name: str
    status: Literal["ok", "absent", "warning", "error"]
    detail: str
    hint: str | None = None


def doctor() -> list[Check]:
    """Run all checks."""
    return [
        _check_python(),
        _check_cores(),
        _check_instruction_sets(),
        _check_wheels(),
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
    """One wheel of ONNX Runtime: a second one overwrites files of the first."""
    found = wheels()
    shown = " and ".join(f"{name} {version}" for name, version in found.items())
    if not found:
        return Check("onnxruntime", "error", "not installed", installation())
    if len(found) > 1:
        return Check(
            "onnxruntime",
            "error",
            f"{shown} are both installed and overwrite each other's files",
            f"pip uninstall -y {' '.join(found)}, then install the one you need",
        )
    try:
        import onnxruntime

        providers = ", ".join(onnxruntime.get_available_providers())
    except ImportError as error:
        return Check("onnxruntime", "error", f"cannot be imported: {error}", "reinstall it")
    return Check("onnxruntime", "ok", f"{shown}: {providers}")


def _check_providers() -> list[Check]:
    """Libraries of each provider, and whether it starts: being listed proves nothing."""
    if not wheels():
        return []
    return [check for provider in PROVIDERS.values() for check in _check_provider(provider)]


def _check_provider(provider: Provider) -> list[Check]:
    name = f"device {provider.device}"
    if missing := provider.missing:
        return [Check(name, "absent", f"{provider.name} is not installed", missing)]
    provider.preload()
    checks = [_check_library(library) for library in provider.libraries]
    try:
        start(provider.device)
    except ReplankError as error:
        detail = error.message.removeprefix(f"{provider.setting}: ")
        return [*checks, Check(name, "warning", detail, error.hint)]
    return [*checks, Check(name, "ok", f"{provider.name} starts; computes fp32 models in {provider.arithmetic}")]


def _check_library(library: Library) -> Check:
    try:
        ctypes.CDLL(library.file)
    except OSError as error:
        return Check(library.name, "error", str(error), library.hint)
    return Check(library.name, "ok", library.file)


def _check_torch() -> Check:
    version = installed_version("torch")
    if version is None:
        return Check("torch", "ok", "not installed: only finetune, compress and export need it")
    bf16 = "fast bf16" if has_fast_bf16() else "no fast bf16: training runs in fp32"
    return Check("torch", "ok", f"{version}, {bf16}")
