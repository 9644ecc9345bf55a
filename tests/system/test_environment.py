"""Facts of the machine, on trees and packages made up for it; and `doctor` on this very machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from replank.runtime import doctor as doctor_checks
from replank.runtime import providers
from replank.runtime.doctor import doctor
from replank.runtime.provider import Library
from replank.system import environment
from replank.system.environment import available_cores, instruction_sets, machine, versions
from replank.system.errors import MissingExtraError
from replank.system.extras import installed_version, missing_extra, require


@pytest.mark.parametrize(
    ("affinity", "quota", "asked", "cores"),
    [
        (8, None, None, 8),
        (8, 2.0, None, 2),
        (8, 1.5, None, 2),
        (8, 2.01, None, 3),
        (8, 0.5, None, 1),
        (2, 6.0, None, 2),
        (8, 4.0, "3", 3),
        (8, 4.0, "16", 4),
        (8, None, "0", 1),
        (8, None, "4,2", 8),  # OpenMP's list of nested levels
        (8, None, "many", 8),
    ],
)
def test_cores_are_the_least_of_affinity_quota_and_wish(
    monkeypatch: pytest.MonkeyPatch, affinity: int, quota: float | None, asked: str | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)))
    monkeypatch.setattr(environment, "cgroup_quota", lambda: quota)
    monkeypatch.delenv("OMP_NUM_THREADS")
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert available_cores() == cores


def test_instruction_sets_are_whole_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_cpuinfo", lambda key: "fpu avx2 avx512_vnni amx_int8x" if key == "flags" else "")
    assert instruction_sets() == ["avx2", "avx512_vnni"]
    assert environment.has_fast_int8()
    assert not environment.has_fast_bf16()
    monkeypatch.setattr(environment, "_cpuinfo", lambda key: "asimd bf16" if key == "Features" else "")
    assert instruction_sets() == ["asimd"]
    assert not environment.has_fast_int8()


@pytest.mark.parametrize(
    ("vendor", "flags", "is_fast"),
    [
        ("AuthenticAMD", "avx512f avx512_bf16", True),
        ("GenuineIntel", "avx512f avx512_bf16 amx_bf16", True),
        ("GenuineIntel", "avx512f avx512_bf16", False),  # AMX is hidden from a virtual machine
        ("AuthenticAMD", "avx512f", False),
    ],
)
def test_bf16_is_fast_where_it_beats_fp32(
    monkeypatch: pytest.MonkeyPatch, vendor: str, flags: str, is_fast: bool
) -> None:
    monkeypatch.setattr(environment, "_cpuinfo", {"vendor_id": vendor, "flags": flags}.get)
    assert environment.has_fast_bf16() is is_fast


def test_a_slow_cpu_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_cpuinfo", lambda key: "avx2" if key == "flags" else "")
    (check,) = (check for check in doctor() if check.name == "instruction sets")
    assert (check.status, check.detail) == ("warning", "avx2")
    assert check.hint == "INT8 gains little without VNNI, AMX or dot-product instructions; use fp32"


def test_what_a_number_must_be_read_with() -> None:
    facts = machine()
    assert facts.cores >= 1
    assert facts.memory_gib > 0.1
    assert facts.cpu
    assert facts.architecture == os.uname().machine
    found = versions()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["onnxruntime"] == installed_version("onnxruntime")
    assert None not in found.values()


def test_doctor_finds_this_machine_well() -> None:
    checks = {check.name: check for check in doctor()}
    assert list(checks)[:4] == ["python", "cores", "instruction sets", "onnxruntime"]
    assert checks["python"].detail == f"{versions()['python']} in {sys.prefix}"
    assert checks["onnxruntime"].status == "ok"
    assert "CPUExecutionProvider" in checks["onnxruntime"].detail
    assert checks["torch"].detail.startswith(str(installed_version("torch")))


# Packages


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str) -> None:
    """Metadata of a distribution, as pip would leave it."""
    information = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(folder)


def test_two_wheels_of_onnxruntime_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "onnxruntime-gpu", "9.9.9")
    (check,) = (check for check in doctor() if check.name == "onnxruntime")
    assert check.status == "error"
    assert (
        f"onnxruntime {installed_version('onnxruntime')} and onnxruntime-gpu 9.9.9 are both installed" in check.detail
    )
    assert check.hint == "pip uninstall -y onnxruntime onnxruntime-gpu, then install the one you need"


def test_no_wheel_of_onnxruntime_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (doctor_checks, providers):
        monkeypatch.setattr(module, "installed_version", lambda package: None)
    checks = {check.name: check for check in doctor()}
    assert (checks["onnxruntime"].status, checks["onnxruntime"].detail) == ("error", "not installed")
    assert checks["onnxruntime"].hint == 'pip install "replank[cpu]" or "replank[gpu]"'
    assert checks["torch"].detail.startswith("not installed: only finetune, compress and export need it")


def test_a_missing_library_names_what_brings_it() -> None:
    check = doctor_checks._check_library(Library("cuBLAS", "libreplank-has-no-such.so.13", "pip install it"))
    assert (check.name, check.status, check.hint) == ("cuBLAS", "error", "pip install it")
    assert "libreplank-has-no-such.so.13" in check.detail
    assert doctor_checks._check_library(Library("C", "libc.so.6", "")).status == "ok"


def test_a_missing_package_says_which_extra_brings_it() -> None:
    require("numpy", "onnxruntime")
    assert missing_extra("torch", "fastapi").hint == 'pip install "replank[compress,serve]"'
    assert missing_extra("transformers").hint == 'pip install "replank[compress]"'
    assert missing_extra("uvicorn").hint == 'pip install "replank[serve]"'
    assert missing_extra("onnxruntime-gpu").hint == 'pip install "replank[gpu]"'
    with pytest.raises(MissingExtraError, match=r"^not installed: no-such-package, nor-this$") as refusal:
        require("numpy", "no-such-package", "nor-this")
    assert refusal.value.hint is None
